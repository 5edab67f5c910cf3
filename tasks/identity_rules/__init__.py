"""Identity rules: ABA and ABB."""

from tasks.identity_rules.task import IdentityRules

__all__ = ["IdentityRules"]
