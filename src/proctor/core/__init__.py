"""Pure decisions: values in, values out; no await, clock, dice or I/O."""
