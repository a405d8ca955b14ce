"""The cutover and the way back on copies, beside the real system, which goes on."""
