//! Turns the crank.
