"""headway.sandbox"""
