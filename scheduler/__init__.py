"""headway.scheduler"""
