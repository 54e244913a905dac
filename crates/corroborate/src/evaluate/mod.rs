//! What the alliance's rules would have done on a recorded history: replays, and tables of what came out.
//!
//! Pure: text in, typed tables out, each of which prints itself and serialises. Start at [`rows::parse`], make a
//! [`History`], then [`daily()`], [`stream()`], [`cost()`], [`poison()`], [`frontier()`], [`fit()`];
//! [`indicators()`] for what people post.

pub mod ablation;
pub mod cost;
pub mod daily;
pub mod first_contacts;
pub mod fit;
pub mod frontier;
pub mod history;
pub mod indicators;
mod mersenne;
pub mod poison;
pub mod rows;
pub mod stream;

pub use ablation::Ablation;
pub use cost::{CostTable, cost};
pub use daily::{DailyTable, daily};
pub use first_contacts::FirstContactsTable;
pub use fit::{Days, FitTable, fit};
pub use frontier::{Frontier, FrontierPoint, Sweep, frontier};
pub use history::History;
pub use indicators::{Benign, IndicatorCost, IndicatorTable, indicator_cost, indicators};
pub use poison::{Cast, Harm, PoisonTable, poison};
pub use stream::{Latency, StreamTable, stream};
