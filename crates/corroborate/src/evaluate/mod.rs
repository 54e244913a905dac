//! What the alliance's rules would have done on a recorded history: replays, and tables of what came out.

pub mod ablation;

pub use ablation::Ablation;
