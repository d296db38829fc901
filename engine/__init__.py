"""headway.engine"""
