//! The frontier as a picture (SVG): one small plot for each number of the charter, all with the same axes.
//!
//! Left to right: first contacts met. Bottom to top: harm, on a scale that shows nothing, a thousandth and everything.
//! Words and numbers beside every mark, so that no meaning hangs on colour alone; light and dark by the reader's
//! system.

use corroborate::evaluate::{Frontier, FrontierPoint, Sweep};
use std::fmt::Write as _;

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (350.0, 290.0);
const MARGIN: (f64, f64) = (30.0, 120.0);
/// Of a panel: where its plot begins, and how large it is.
const PLOT: (f64, f64, f64, f64) = (52.0, 48.0, 280.0, 188.0);
/// The share from which on the harm's scale is logarithmic.
const KNEE: f64 = 0.001;
const HARMS: [(f64, &str); 5] = [(0.0, "0"), (0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %")];
/// Width of a character and height of a line of labels, about.
const LETTER: (f64, f64) = (6.1, 12.0);

const STYLE: &str = "\
  text { font: 11px ui-sans-serif, system-ui, 'DejaVu Sans', sans-serif; fill: #334155; }
  .head { font-size: 20px; font-weight: 650; fill: #0f172a; } .sub { font-size: 13px; }
  .name { font-size: 13px; font-weight: 650; fill: #0f172a; } .tick { font-size: 10px; fill: #64748b; }
  .paper { fill: #ffffff; } .plot { fill: #f8fafc; stroke: #cbd5e1; } .grid { stroke: #e2e8f0; }
  .path { fill: none; stroke: #2563eb; stroke-width: 1.5; stroke-opacity: .55; }
  .dot { fill: #2563eb; } .front { fill: none; stroke: #94a3b8; stroke-dasharray: 4 3; }
  .force { fill: #ffffff; stroke: #b45309; stroke-width: 2.5; } .forced { font-weight: 700; fill: #92400e; }
  .good { fill: #16a34a; fill-opacity: .10; }
  @media (prefers-color-scheme: dark) {
    text { fill: #cbd5e1; } .head, .name { fill: #f1f5f9; } .tick { fill: #94a3b8; } .paper { fill: #0f172a; }
    .plot { fill: #1e293b; stroke: #475569; } .grid { stroke: #334155; } .path { stroke: #60a5fa; }
    .dot { fill: #60a5fa; } .front { stroke: #64748b; } .force { fill: #0f172a; stroke: #fbbf24; }
    .forced { fill: #fbbf24; } .good { fill: #22c55e; }
  }
";

/// The picture's text.
pub fn draw(frontier: &Frontier) -> String {
    let scale = Scale::of(frontier);
    let rows = Sweep::ALL.len().div_ceil(COLUMNS);
    let width = MARGIN.0 * 2.0 + PANEL.0 * COLUMNS as f64;
    let height = MARGIN.1 + PANEL.1 * rows as f64 + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">What each number of the charter \
         buys and costs</title>\n<desc id=\"d\">{}</desc>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n",
        described(frontier)
    );
    heading(&mut svg);
    for (i, sweep) in Sweep::ALL.into_iter().enumerate() {
        let at = (MARGIN.0 + PANEL.0 * (i % COLUMNS) as f64, MARGIN.1 + PANEL.1 * (i / COLUMNS) as f64);
        let _ = writeln!(svg, "<g transform=\"translate({:.0} {:.0})\">", at.0, at.1);
        panel(&mut svg, frontier, sweep, &scale);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn heading(svg: &mut String) {
    let (x, force) = (MARGIN.0, MARGIN.0 + 6.0);
    let _ = write!(
        svg,
        "<text class=\"head\" x=\"{x}\" y=\"38\">What each number of the charter buys and costs</text>\n\
         <text class=\"sub\" x=\"{x}\" y=\"62\">To the right: first contacts of an attacker with a member that met a \
         block, 10 s each way. Upwards: harmless addresses that liars got published, worst scenario.</text>\n\
         <circle class=\"force\" cx=\"{force}\" cy=\"86\" r=\"5\"/><text class=\"sub\" x=\"{}\" y=\"90\">in \
         force</text>\n\
         <circle class=\"dot\" cx=\"{}\" cy=\"86\" r=\"4\"/><text class=\"sub\" x=\"{}\" y=\"90\">one number \
         changed</text>\n<path class=\"front\" d=\"M{} 86h36\"/><text class=\"sub\" x=\"{}\" y=\"90\">frontier: \
         nothing tried is better in both</text>\n\
         <rect class=\"good\" x=\"{}\" y=\"78\" width=\"22\" height=\"15\"/><text class=\"sub\" x=\"{}\" y=\"90\">at \
         most 2 % harm</text>\n",
        force + 14.0,
        force + 92.0,
        force + 104.0,
        force + 250.0,
        force + 294.0,
        force + 560.0,
        force + 590.0,
    );
}

fn described(frontier: &Frontier) -> String {
    let force = frontier.points.iter().find(|point| point.in_force);
    force.map_or_else(String::new, |point| {
        format!(
            "In force: {:.1} % of first contacts met, {:.2} % of harmless addresses published in the worst scenario.",
            point.first_contacts * 100.0,
            point.worst() * 100.0
        )
    })
}

/// From shares to places in a plot.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// From the worst setting to the best one in steps of 5 %, with some room beside both.
    fn of(frontier: &Frontier) -> Self {
        let met = || frontier.points.iter().map(|point| point.first_contacts);
        let (least, most) = (met().fold(1.0, f64::min), met().fold(0.0, f64::max));
        let least = ((least * 20.0 - 0.2).floor() / 20.0).clamp(0.0, 0.95);
        Self { least, most: ((most * 20.0 + 0.3).ceil() / 20.0).max(least + 0.05) }
    }

    fn x(&self, met: f64) -> f64 {
        PLOT.0 + PLOT.2 * (met - self.least) / (self.most - self.least)
    }

    fn y(&self, harm: f64) -> f64 {
        let up = (1.0 + harm / KNEE).ln() / (1.0 + 1.0 / KNEE).ln();
        PLOT.1 + PLOT.3 * (1.0 - 0.88 * up - 0.04)
    }

    fn at(&self, point: &FrontierPoint) -> (f64, f64) {
        (self.x(point.first_contacts), self.y(point.worst()))
    }
}

fn panel(svg: &mut String, frontier: &Frontier, sweep: Sweep, scale: &Scale) {
    axes(svg, sweep, scale);
    front(svg, frontier, scale);
    let mut points: Vec<&FrontierPoint> = frontier.points.iter().filter(|point| point.sweep == sweep).collect();
    if sweep == Sweep::Other {
        points.extend(frontier.points.iter().find(|point| point.in_force));
    } else {
        let path: Vec<String> = points.iter().map(|p| scale.at(p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline class=\"path\" points=\"{}\"/>", path.join(" "));
    }
    let around = |(x, y): (f64, f64)| Box4(x - 5.0, y - 5.0, 10.0, 10.0);
    let mut taken: Vec<Box4> = points.iter().map(|point| around(scale.at(point))).collect();
    points.sort_by_key(|point| point.in_force);
    points.iter().for_each(|point| mark(svg, point, scale.at(point)));
    for point in points.iter().filter(|point| point.in_force) {
        let text = if sweep == Sweep::Other { "in force" } else { &point.setting };
        label(svg, text, " class=\"forced\"", scale.at(point), &mut taken);
    }
    for (at, text) in together(&points, scale) {
        label(svg, &text, "", at, &mut taken);
    }
}

/// Settings whose marks lie on each other share a label.
fn together(points: &[&FrontierPoint], scale: &Scale) -> Vec<((f64, f64), String)> {
    let mut labels: Vec<((f64, f64), String)> = Vec::new();
    for point in points.iter().filter(|point| !point.in_force) {
        let (x, y) = scale.at(point);
        match labels.iter_mut().find(|((a, b), _)| (a - x).abs() < 6.0 && (b - y).abs() < 6.0) {
            Some((_, text)) => {
                text.push_str(", ");
                text.push_str(&point.setting);
            }
            None => labels.push(((x, y), point.setting.clone())),
        }
    }
    // Short ones first: they need to stand near their mark, long ones find room elsewhere.
    labels.sort_by_key(|(_, text)| text.len());
    labels
}

fn axes(svg: &mut String, sweep: Sweep, scale: &Scale) {
    let (left, top, width, height) = PLOT;
    let _ = writeln!(svg, "<text class=\"name\" x=\"{left}\" y=\"{}\">{}</text>", top - 26.0, sweep.name());
    let _ = writeln!(svg, "<text class=\"tick\" x=\"{left}\" y=\"{}\">{}</text>", top - 10.0, told(sweep));
    let _ = writeln!(svg, "<rect class=\"plot\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>");
    let two = scale.y(0.02);
    let _ = writeln!(
        svg,
        "<rect class=\"good\" x=\"{left}\" y=\"{two:.1}\" width=\"{width}\" height=\"{:.1}\"/>",
        top + height - two
    );
    for (harm, text) in HARMS {
        let y = scale.y(harm);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left} {y:.1}h{width}\"/>");
        let (x, y) = (left - 6.0, y + 3.5);
        let _ = writeln!(svg, "<text class=\"tick\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>");
    }
    let mut met = scale.least;
    while met <= scale.most + 1e-9 {
        let (x, y) = (scale.x(met), top + height + 15.0);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {top}v{height}\"/>");
        let _ = writeln!(
            svg,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{:.0} %</text>",
            met * 100.0
        );
        met += 0.05;
    }
}

/// What turning the number does, in a few words.
fn told(sweep: Sweep) -> &'static str {
    match sweep {
        Sweep::Threshold => "points that corroborate",
        Sweep::Prior => "confirmations a vetted member starts with",
        Sweep::WeightMax => "points, the most one reporter weighs",
        Sweep::Record => "the record that publishing alone needs",
        Sweep::Fault => "faults for each upheld dispute",
        Sweep::Other => "rules of another kind, to compare with",
    }
}

fn front(svg: &mut String, frontier: &Frontier, scale: &Scale) {
    let mut best: Vec<(f64, f64)> =
        frontier.points.iter().filter(|point| point.on_frontier).map(|point| scale.at(point)).collect();
    best.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    best.dedup();
    let Some((x, y)) = best.first() else { return };
    let mut path = format!("M{:.1} {y:.1}H{x:.1}", PLOT.0);
    for (x, y) in best.iter().skip(1) {
        let _ = write!(path, "V{y:.1}H{x:.1}");
    }
    let _ = writeln!(svg, "<path class=\"front\" d=\"{path}\"/>");
}

fn mark(svg: &mut String, point: &FrontierPoint, (x, y): (f64, f64)) {
    let (class, radius) = if point.in_force { ("force", 5) } else { ("dot", 4) };
    let (met, harm) = (point.first_contacts * 100.0, point.worst() * 100.0);
    let _ = writeln!(
        svg,
        "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}: {met:.1} % met, {harm:.2} % \
         harm</title></circle>",
        point.setting
    );
}

/// Left, top, width, height.
#[derive(Clone, Copy)]
struct Box4(f64, f64, f64, f64);

impl Box4 {
    fn meets(&self, other: &Self) -> bool {
        self.0 < other.0 + other.2
            && other.0 < self.0 + self.2
            && self.1 < other.1 + other.3
            && other.1 < self.1 + self.3
    }

    fn is_inside(&self) -> bool {
        let (left, top, width, height) = PLOT;
        self.0 > left && self.0 + self.2 < left + width && self.1 > top && self.1 + self.3 < top + height
    }
}

/// A label where there is room for one: beside, above, below its mark. Without room the mark's own title has to do.
fn label(svg: &mut String, text: &str, class: &str, (x, y): (f64, f64), taken: &mut Vec<Box4>) {
    let (width, height) = (text.chars().count() as f64 * LETTER.0, LETTER.1);
    let places = [
        (x + 8.0, y - height / 2.0),
        (x - width - 8.0, y - height / 2.0),
        (x - width / 2.0, y - height - 7.0),
        (x - width / 2.0, y + 7.0),
        (x + 6.0, y - height - 5.0),
        (x - width - 6.0, y - height - 5.0),
        (x + 6.0, y + 5.0),
        (x - width - 6.0, y + 5.0),
        (x - width / 2.0, y - 2.0 * height - 9.0),
        (x - width / 2.0, y + height + 9.0),
        (x - width * 0.8, y + 7.0),
        (x - width * 0.8, y - height - 7.0),
        (x - width * 0.8, y + height + 9.0),
    ];
    let free = places
        .into_iter()
        .map(|(left, top)| Box4(left, top, width, height))
        .find(|place| place.is_inside() && !taken.iter().any(|other| place.meets(other)));
    let Some(place) = free else { return };
    taken.push(place);
    let _ = writeln!(svg, "<text{class} x=\"{:.1}\" y=\"{:.1}\">{text}</text>", place.0, place.1 + height - 2.5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use corroborate::evaluate::Harm;

    fn frontier() -> Frontier {
        let point = |sweep, setting: &str, first_contacts, insiders, in_force| FrontierPoint {
            sweep,
            setting: setting.to_owned(),
            first_contacts,
            harm: Harm { outsiders: 0.0, insiders, entry_hours: 0.0 },
            in_force,
            on_frontier: in_force,
        };
        Frontier {
            points: vec![
                point(Sweep::Threshold, "1.0", 0.35, 1.0, false),
                point(Sweep::Threshold, "2.0", 0.33, 0.008, true),
                point(Sweep::Other, "two members", 0.2, 1.0, false),
            ],
        }
    }

    #[test]
    fn every_setting_is_a_mark_with_words_and_one_is_in_force() {
        let svg = draw(&frontier());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("<title>two members: 20.0 % met, 100.00 % harm</title>"), "{svg}");
        assert!(svg.contains("In force: 33.0 % of first contacts met, 0.80 %"), "{svg}");
        assert_eq!(svg.matches("class=\"forced\"").count(), 2);
    }

    #[test]
    fn labels_stay_inside_their_plot_and_never_lie_on_each_other() {
        let mut taken = Vec::new();
        let mut svg = String::new();
        for text in ["1.0", "2.0", "two members"].iter().cycle().take(21) {
            label(&mut svg, text, "", (PLOT.0 + 150.0, PLOT.1 + 90.0), &mut taken);
        }
        assert!(taken.len() > 3 && taken.len() < 21);
        for (i, one) in taken.iter().enumerate() {
            assert!(one.is_inside() && !taken[..i].iter().any(|other| one.meets(other)));
        }
    }
}
