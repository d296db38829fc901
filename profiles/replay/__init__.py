"""What a recorded workload comes to under other policies, on other fleets and on other hardware."""
