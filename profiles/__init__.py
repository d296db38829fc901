"""headway.profiles"""
