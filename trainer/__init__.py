"""headway.trainer"""
