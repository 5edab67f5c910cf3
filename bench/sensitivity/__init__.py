"""Sensitivity: does the order of the methods hold when a choice of the benchmark's is made otherwise?"""
