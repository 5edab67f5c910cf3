"""Puts this package's YAML files on Hydra's search path. `hydra_plugins` itself has no __init__.py: it is shared."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class ElsewhereConfigs(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("elsewhere", "pkg://elsewhere.conf")
