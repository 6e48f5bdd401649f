"""The commands, by what a person wants: begin, look ahead, run, look, steer, take back."""
