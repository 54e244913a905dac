//! A small disk of a test's own: a tmpfs in a mount namespace, which goes with the last process in it. Needs no root
//! where users may make namespaces; nothing outside is touched.

use crate::Error;
use std::ffi::OsString;
use std::process::Command;

/// Names the disk to the test that was given one.
const GIVEN: &str = "TESTBED_DISK";

/// Runs the one ignored test of the calling test program whose name contains `test`, in a process to whom the
/// directory for temporary files is an empty disk of `kib` KiB. False where this system makes no mount namespace: then
/// nothing was run, and stdout says so.
///
/// # Errors
/// The test failed, or it is not exactly one; with what it printed.
pub fn run_on_disk(test: &str, kib: u32) -> Result<bool, Error> {
    let at = tempfile::tempdir()?;
    let inside = |then: &str| {
        let script = format!(r#"mount -t tmpfs -o size={kib}k none "$TMPDIR" && {then}"#);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script]).env("TMPDIR", at.path());
        command
    };
    if !inside("true").output().is_ok_and(|output| output.status.success()) {
        skipped();
        return Ok(false);
    }
    let output = inside(r#"exec "$0" "$@""#)
        .arg(std::env::current_exe()?)
        .args(["--ignored", "--nocapture", test])
        .env(GIVEN, at.path())
        .output()?;
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() && told.contains(" 1 passed") {
        true => Ok(true),
        false => Err(Error(format!("{test} on a disk of {kib} KiB: {told}"))),
    }
}

/// The directory of the disk that [`run_on_disk`] gave this process; none: it has no disk of its own, and fills none.
pub fn given() -> Option<OsString> {
    std::env::var_os(GIVEN)
}

#[expect(clippy::print_stdout, reason = "whoever reads a test's output must see that it looked at nothing")]
fn skipped() {
    println!("skipped: no mount namespaces here, so no disk can be filled");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn disk_is_as_small_as_it_was_asked_for_and_nobody_elses() {
        run_on_disk("disk::tests::child_that_measures", 64).unwrap();
        assert_eq!(given(), None);
    }

    #[test]
    #[ignore = "the child of disk_is_as_small_as_it_was_asked_for_and_nobody_elses"]
    fn child_that_measures() {
        let Some(at) = given() else { return };
        assert_eq!(std::env::temp_dir(), std::path::PathBuf::from(&at));
        let mut file = tempfile::tempfile().unwrap();
        let written = (0..1_000).take_while(|_| file.write_all(&[1; 1_024]).is_ok()).count();
        assert!((32..=64).contains(&written), "{written} KiB");
    }

    #[test]
    fn test_that_fails_or_is_not_there_is_an_error() {
        for test in ["disk::tests::child_that_fails", "no such test"] {
            match run_on_disk(test, 64) {
                Ok(ran) => assert!(!ran, "{test}"),
                Err(error) => assert!(error.0.contains(test) && !error.0.contains("1 passed"), "{error}"),
            }
        }
    }

    #[test]
    #[ignore = "the child of test_that_fails_or_is_not_there_is_an_error"]
    fn child_that_fails() {
        assert_eq!(given(), None, "no disk was given");
    }
}
