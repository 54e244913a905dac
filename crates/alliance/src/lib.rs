//! The state machine that joins the stages: command to events, event to state.
