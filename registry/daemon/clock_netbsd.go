package daemon

// clockMonotonic is CLOCK_MONOTONIC, which x/sys does not name for this system.
const clockMonotonic = 3
