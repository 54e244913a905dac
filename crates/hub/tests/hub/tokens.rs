//! Tokens: every route lets in whom its row says, and nobody else.

use crate::support::{Bench, MEMBERS, read};
use alliance::Scope;
use hub::Need;
use hub::routes::{Request, TABLE};
use model::Span;
use reqwest::Method;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_its_row_says_and_nobody_else() {
    let mut bench = Bench::start().await;
    for scope in Scope::ALL {
        let token = bench.token("first", "cloud", BTreeSet::from([scope]), Span::days(1)).await;
        let token = match token {
            Ok(token) => token,
            // The first token ends with the first admin's.
            Err(_) => bench.token("admin", "cloud", BTreeSet::from([scope]), Span::days(1)).await.unwrap(),
        };
        bench.tokens.insert(scope.as_str().to_owned(), token);
    }
    let expired = bench.ended_token("admin", "cloud", Scope::ALL.into()).await;
    bench.tokens.insert("expired".to_owned(), expired);
    bench.tokens.insert("unknown".to_owned(), format!("epi_{}", "A".repeat(43)));
    bench.tokens.insert("malformed".to_owned(), "epi_short".to_owned());
    let callers: Vec<String> = ["", "expired", "unknown", "malformed"]
        .into_iter()
        .chain(Scope::ALL.map(Scope::as_str))
        .map(str::to_owned)
        .collect();
    for route in TABLE {
        for caller in &callers {
            let allowed = match route.need {
                Need::Nothing | Need::Stranger | Need::Loopback => true,
                Need::Guest if caller.is_empty() => true,
                Need::Token | Need::Guest => Scope::ALL.iter().any(|scope| scope.as_str() == caller),
                Need::Scope(scope) => scope.as_str() == caller,
                // The charter here gives nobody the role admin: the scope is enough.
                Need::Admin | Need::Credentials => caller == "admin",
            };
            let status = ask(&bench, caller, route).await;
            let kept_out = status == 401 || status == 403;
            assert_eq!(kept_out, !allowed, "{} {} as {caller:?}: {status}", route.method, route.path);
            let stranger = !Scope::ALL.iter().any(|scope| scope.as_str() == caller);
            assert!(allowed || stranger == (status == 401), "{} as {caller:?}: {status}", route.path);
        }
    }
}

/// Asks for something that no handler would do, so that only the guard decides between 401, 403 and the rest.
async fn ask(bench: &Bench, caller: &str, route: &hub::routes::Route) -> u16 {
    let path = route.path.replace("{member}", "cloud").replace("{*path}", "0/000").replace("{sha256}", "x");
    let path = path.replace("{id}", "x").replace("{position}", "x").replace("{root}", "x").replace("{object}", "x");
    let mut request = bench.request(caller, Method::from_bytes(route.method.as_bytes()).unwrap(), &path);
    if route.request != Request::Nothing {
        request = request.header("content-type", "text/nonsense").body("x");
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_token_ends_with_the_first_admins_and_revoked_ones_at_once() {
    let bench = Bench::start().await;
    let (status, problem) = bench.get("first", "/api/v1/tokens").await;
    assert_eq!((status, &problem["rule"]), (401, &"token_invalid".into()));
    let (_, tokens) = bench.get("admin", "/api/v1/tokens").await;
    let of_bank = tokens["items"].as_array().unwrap().iter().find(|token| token["member"] == "bank").unwrap();
    let path = format!("/api/v1/tokens/{}", of_bank["id"].as_str().unwrap());
    assert_eq!(bench.get("bank", "/api/v1/status").await.0, 200);
    let (status, _) = read(bench.request("admin", Method::DELETE, &path).send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(bench.get("bank", "/api/v1/status").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stand_in_no_answer_no_journal_and_no_figures() {
    let bench = Bench::start().await;
    let mut told = String::new();
    for path in ["/api/v1/tokens", "/api/v1/status", "/metrics", "/api/v1/members"] {
        told += &bench.get("admin", path).await.1.to_string();
    }
    told += &bench.get("telecom", "/api/v1/journal?max=1000").await.1.to_string();
    told += &bench.get("unknown", "/api/v1/status?token=epi_x").await.1.to_string();
    for name in MEMBERS.iter().chain(&["admin", "first"]) {
        assert!(!told.contains(&bench.tokens[*name]), "{name}");
    }
    for file in ["journal", "snapshots", "tiles"] {
        for item in std::fs::read_dir(bench.root().join(file)).unwrap() {
            let Ok(bytes) = std::fs::read(item.unwrap().path()) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains("epi_"), "{file}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_speaks_for_its_own_member_only() {
    let bench = Bench::start().await;
    assert_eq!(bench.get("telecom", "/api/v1/members/cloud/sequence").await.0, 403);
    let body = crate::support::signed_report("cloud", 1, &[crate::support::sighting("80.1.1.1")]);
    let (status, problem) = bench.report("telecom", body).await;
    assert_eq!((status, &problem["rule"]), (403, &"scope_missing".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_with_their_members_membership() {
    let mut bench = Bench::start().await;
    let all = bench.token("admin", "bank", Scope::ALL.into(), Span::days(1)).await.unwrap();
    bench.tokens.insert("all".to_owned(), all);
    assert_eq!(bench.get("all", "/api/v1/tokens").await.0, 200);
    let (_, current) = bench.get("cloud", "/api/v1/charter").await;
    let previous = charter::Charter::digest_of(current["text"].as_str().unwrap()).to_string();
    let text = crate::support::charter(bench.running.directory(), 2, Some(&previous));
    let without_bank = &text[..text.find("[[member]]\nid = \"bank\"").unwrap()];
    let signed = crate::support::signed_charter(without_bank);
    let (status, answer) = bench.post("admin", "/api/v1/charter", &signed).await;
    assert_eq!(status, 200, "{answer}");
    for (who, path) in [("all", "/api/v1/tokens"), ("bank", "/api/v1/status"), ("bank", "/api/v1/charter")] {
        let (status, problem) = bench.get(who, path).await;
        assert_eq!((status, &problem["rule"]), (403, &"unknown_member".into()), "{path}");
    }
    assert_eq!(bench.get("cloud", "/api/v1/status").await.0, 200);
}
