//! Deliveries: the list, one with its attempts, their JSON, and sending again only for our own pages and commands.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::stage::deps;
use crate::{Answer, ask, get};

const DEAD: &str = "9f3c21d07be4a618-firing-";

fn post(router: &Router, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::post(path).header("host", "127.0.0.1:9650");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(router.clone(), request.body(Body::from(body.to_owned())).unwrap())
}

fn json(router: &Router, path: &str) -> Value {
    let answer = ask(router.clone(), Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

/// The dead delivery's id, and all deliveries' states by target.
fn states(router: &Router) -> (String, Vec<(String, String)>) {
    let all = json(router, "/api/v1/deliveries");
    let rows = all["data"]["deliveries"].as_array().unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let wall = rows.iter().find(|row| row["target"] == "wall/webhook[0]").unwrap();
    let mut states: Vec<_> = rows.iter().map(|row| (text(row, "target"), text(row, "state"))).collect();
    states.sort();
    (text(wall, "id"), states)
}

fn shown(wall: &str) -> Vec<(String, String)> {
    let pair = |target: &str, state: &str| (target.to_owned(), state.to_owned());
    vec![pair("duty/email[0]", "sent"), pair("wall/webhook[0]", wall)]
}

/// The form's hidden token, as a browser would send it.
fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn the_list_says_what_went_to_whom_and_what_went_wrong() {
    let page = get(deps(), "/deliveries");
    for words in [
        "12 network errors in a row",
        "✓ sent",
        "✕ dead",
        "answered 400: no such hook",
        "1 uncertain",
        "left alone; tried again in 12.0 s",
        "2 deliveries, newest first",
        "Send again</button>",
    ] {
        assert!(page.text.contains(words), "no {words:?} in {}", page.text);
    }
    assert_eq!(page.text.matches("Send again</button>").count(), 1, "only the dead");
    let dead = get(deps(), "/deliveries?state=dead&receiver=wall");
    assert!(dead.text.contains("1 delivery, newest") && dead.text.contains("<option selected>dead</option>"));
    assert!(get(deps(), "/deliveries?receiver=nobody").text.contains("No delivery satisfies this."));
    let wrong = get(deps(), "/deliveries?state=lost");
    assert_eq!(wrong.status.as_u16(), 400);
    assert!(wrong.text.contains("&#34;lost&#34; is no state"), "{}", wrong.text);
    assert!(get(deps(), "/deliveries?resent=3&left=1").text.contains("3 deliveries wait to be sent again"));
}

#[test]
fn one_delivery_shows_its_attempts() {
    let router = dashboards::router(deps());
    let (id, _) = states(&router);
    assert!(id.starts_with(DEAD), "{id}");
    let page = ask(router.clone(), Request::get(format!("/deliveries/{id}")).body(Body::empty()).unwrap());
    for words in [
        "cut: no such hook",
        "answered 400: no such hook",
        "uncertain</span>",
        "40 ms",
        "2016-07-22 18:14:40.000",
    ] {
        assert!(page.text.contains(words), "no {words:?} in {}", page.text);
    }
    let one = json(&router, &format!("/api/v1/deliveries/{id}"));
    let attempts = one["data"]["attempt_list"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|a| (a["number"].as_u64(), a["outcome"].as_str())).collect();
    assert_eq!(outcomes, [(Some(1), Some("uncertain")), (Some(2), Some("dead"))]);
    assert_eq!(one["data"]["next_at"], Value::Null);
    assert_eq!(get(deps(), "/api/v1/deliveries/nothing").status.as_u16(), 404);
    assert_eq!(get(deps(), "/deliveries/nothing").status.as_u16(), 404);
    assert_eq!(get(deps(), "/api/v1/deliveries?limit=x").status.as_u16(), 400);
    assert_eq!(json(&router, "/api/v1/deliveries?limit=1")["data"]["truncated"], true);
}

#[test]
fn a_button_of_our_own_page_sends_again() {
    let router = dashboards::router(deps());
    let (id, before) = states(&router);
    assert_eq!(before, shown("dead"));
    let page = ask(router.clone(), Request::get("/deliveries").body(Body::empty()).unwrap()).text;
    let body = format!("token={}&state=dead&receiver=wall", token(&page));
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", "http://127.0.0.1:9650"),
        ("sec-fetch-site", "same-origin"),
    ];
    let path = format!("/deliveries/{id}/resend");
    let answer = post(&router, &path, &form, &body);
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text);
    assert_eq!(answer.headers["location"], "../../deliveries?state=dead&receiver=wall&resent=1&left=0");
    assert_eq!(states(&router), (id, shown("retry")), "under the same id");
    let again = post(&router, &path, &form, &body);
    assert_eq!(again.status.as_u16(), 409);
    assert!(
        again.text.contains("only the dead are sent again") && again.text.contains("../../assets/style.css")
    );
    let all = post(&router, "/deliveries/resend", &form, &body);
    assert_eq!(all.headers["location"], "../deliveries?state=dead&receiver=wall&resent=0&left=0");
}

#[test]
fn nobody_else_sends_again() {
    let router = dashboards::router(deps());
    let (id, _) = states(&router);
    let page = ask(router.clone(), Request::get("/deliveries").body(Body::empty()).unwrap()).text;
    let right = format!("token={}", token(&page));
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let own = ("origin", "http://127.0.0.1:9650");
    for path in [format!("/deliveries/{id}/resend"), "/deliveries/resend".to_owned()] {
        for (why, headers, body) in [
            ("no token", vec![kind, own], ""),
            ("another token", vec![kind, own], "token=00000000000000000000000000000000"),
            ("another origin", vec![kind, ("origin", "https://evil.example")], &right),
            ("no origin", vec![kind, ("origin", "null")], &right),
            ("another site", vec![kind, own, ("sec-fetch-site", "cross-site")], &right),
        ] {
            let answer = post(&router, &path, &headers, body);
            assert_eq!(answer.status.as_u16(), 403, "{path}: {why}: {}", answer.text);
            assert!(answer.headers.contains_key("content-security-policy"));
        }
    }
    for path in [format!("/api/v1/deliveries/{id}/resend"), "/api/v1/deliveries/resend".to_owned()] {
        for headers in [vec![("origin", "https://evil.example")], vec![own, ("sec-fetch-site", "same-site")]]
        {
            assert_eq!(post(&router, &path, &headers, "").status.as_u16(), 403, "{path}");
        }
        let read = ask(router.clone(), Request::get(&path).body(Body::empty()).unwrap());
        assert_eq!(read.status.as_u16(), 405, "{path}: nothing changes by GET");
    }
    assert_eq!(states(&router).1, shown("dead"), "nothing of this changed anything");
}

#[test]
fn a_command_sends_again_by_the_api() {
    let router = dashboards::router(deps());
    let (id, _) = states(&router);
    let none = post(&router, "/api/v1/deliveries/resend?receiver=duty", &[], "");
    assert_eq!(none.text, r#"{"data":{"left":0,"resent":0},"status":"success"}"#);
    let answer = post(&router, &format!("/api/v1/deliveries/{id}/resend"), &[], "");
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(states(&router).1, shown("retry"));
    assert_eq!(post(&router, &format!("/api/v1/deliveries/{id}/resend"), &[], "").status.as_u16(), 409);
    assert_eq!(post(&router, "/api/v1/deliveries/nothing/resend", &[], "").status.as_u16(), 404);
    let router = dashboards::router(deps());
    let all = post(&router, "/api/v1/deliveries/resend", &[], "");
    assert_eq!(all.text, r#"{"data":{"left":0,"resent":1},"status":"success"}"#);
}
