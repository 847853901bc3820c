//! HTTP calls with Alertmanager's webhook payload.
//!
//! Refuses to know: routing, when to retry. The URL and the credentials are secrets: no outcome shows them, an answer
//! that repeats them is cleaned. Redirects are not followed, proxies of the environment are not used.

mod payload;

use std::time::Duration;

use record::InstantMs;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::Notify;
use super::hide::{base64, chain, clean};
use crate::notification::Scene;
use crate::outbox::{Attempt, FailReason, Outcome};
use crate::receivers::{Secret, WebhookConfig, check_url, read_secret};
use payload::payload;

/// Bytes of an answer that are read at most.
const ANSWER_MAX_BYTES: usize = 4 * 1024;
/// A URL's path or query shorter than this holds no key and is not looked for in answers.
const URL_KEY_MIN_BYTES: usize = 6;
/// A connection is used again within this time: shorter than servers keep theirs, for a request into a connection
/// that the server is just closing has an uncertain end.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// POSTs to one URL.
#[derive(Debug)]
pub struct WebhookNotifier {
    receiver: String,
    config: WebhookConfig,
    scene: Scene,
    client: Client,
}

impl WebhookNotifier {
    /// For a checked configuration.
    pub fn new(receiver: &str, config: &WebhookConfig, scene: &Scene) -> Result<Self, String> {
        // One process, one provider: an error only says that it is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("watchroom/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout);
        if let Some(pem) = config.http_config.tls_config.ca_pem()? {
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| chain(&e))?;
            client = client.tls_certs_only(authorities);
        } else if config.url.as_ref().is_some_and(|url| url.expose().starts_with("http:")) {
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|e| chain(&e.without_url()))?;
        Ok(Self { receiver: receiver.to_owned(), config: config.clone(), scene: scene.clone(), client })
    }

    async fn post(&self, attempt: &Attempt, now_ms: InstantMs) -> Result<Outcome, Outcome> {
        let url = self.config.url().map_err(|e| Outcome::retry(FailReason::Other, e.to_string()))?;
        let parsed =
            check_url(&url).map_err(|e| Outcome::retry(FailReason::Other, format!("the url {e}")))?;
        let secrets = self.secrets(&url, &parsed)?;
        let body = payload(&attempt.notification, &self.receiver, &self.scene);
        let request = self.client.post(parsed).headers(headers(attempt, secrets.authorization)?).body(body);
        let response = request.send().await.map_err(|e| failed(e, &secrets.hidden))?;
        Ok(judge(response, &secrets.hidden, now_ms).await)
    }

    fn secrets(&self, url: &Secret, parsed: &Url) -> Result<Secrets, Outcome> {
        let http = &self.config.http_config;
        let wrong = |e: crate::receivers::SecretError| Outcome::retry(FailReason::AuthError, e.to_string());
        // A server that repeats the request repeats the path: that is where hooks keep their keys.
        let parts = [parsed.path().trim_matches('/'), parsed.query().unwrap_or_default()];
        let keys = parts.into_iter().filter(|part| part.len() >= URL_KEY_MIN_BYTES).map(Secret::new);
        let mut hidden: Vec<Secret> = std::iter::once(url.clone()).chain(keys).collect();
        let mut authorization = None;
        if let Some(auth) = &http.authorization {
            let token = read_secret(&auth.credentials_file).map_err(wrong)?;
            authorization = Some(Secret::new(format!("{} {}", auth.scheme, token.expose())));
            hidden.push(token);
        }
        if let Some(auth) = &http.basic_auth {
            let password = read_secret(&auth.password_file).map_err(wrong)?;
            let encoded = base64(format!("{}:{}", auth.username, password.expose()).as_bytes());
            authorization = Some(Secret::new(format!("Basic {encoded}")));
            hidden.extend([password, Secret::new(encoded)]);
        }
        Ok(Secrets { authorization, hidden })
    }
}

impl Notify for WebhookNotifier {
    async fn send(&self, attempt: &Attempt, now_ms: InstantMs) -> Outcome {
        match self.post(attempt, now_ms).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }
}

struct Secrets {
    authorization: Option<Secret>,
    /// What no outcome may show.
    hidden: Vec<Secret>,
}

fn headers(attempt: &Attempt, authorization: Option<Secret>) -> Result<HeaderMap, Outcome> {
    let wrong = |what: &str| Outcome::retry(FailReason::Other, format!("{what} cannot stand in a header"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let key = HeaderValue::from_str(&attempt.delivery_id).map_err(|_secret_free| wrong("the delivery id"))?;
    headers.insert("idempotency-key", key);
    if attempt.possible_repeat {
        headers.insert("x-watchroom-possible-repeat", HeaderValue::from_static("true"));
    }
    if let Some(authorization) = authorization {
        let mut value =
            HeaderValue::from_str(authorization.expose()).map_err(|_secret| wrong("the authorization"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// No answer came. Without a connection nothing can have arrived; after it, it may have.
fn failed(error: reqwest::Error, hidden: &[Secret]) -> Outcome {
    let reason = if error.is_timeout() { FailReason::ContextDeadlineExceeded } else { FailReason::Other };
    let certainly_not = error.is_connect() || error.is_builder();
    let detail = clean(&chain(&error.without_url()), hidden);
    if certainly_not { Outcome::retry(reason, detail) } else { Outcome::Uncertain { reason, detail } }
}

async fn judge(response: Response, hidden: &[Secret], now_ms: InstantMs) -> Outcome {
    let status = response.status();
    let after_ms = retry_after_ms(response.headers(), now_ms);
    let said = read_answer(response).await;
    let said = clean(&String::from_utf8_lossy(&said), hidden);
    let detail = format!("answered {}: {said}", status.as_u16());
    let detail = detail.trim_end_matches([':', ' ']).to_owned();
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => FailReason::RateLimited,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailReason::AuthError,
        // 408 and 425 say that the request was not looked at.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => FailReason::ServerError,
        _ if status.is_server_error() => FailReason::ServerError,
        _ => FailReason::ClientError,
    };
    if status.is_success() {
        Outcome::Sent { detail }
    } else if matches!(reason, FailReason::RateLimited | FailReason::ServerError) {
        Outcome::Retry { reason, detail, after_ms }
    } else if status.is_redirection() {
        Outcome::Dead {
            reason,
            detail: format!("{detail} (redirects are not followed; configure the final url)"),
        }
    } else {
        Outcome::Dead { reason, detail }
    }
}

/// The beginning of the answer; a broken rest does not matter, its status is known.
async fn read_answer(mut response: Response) -> Vec<u8> {
    let mut answer = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        answer.extend(chunk.iter().take(ANSWER_MAX_BYTES - answer.len()));
        if answer.len() >= ANSWER_MAX_BYTES {
            break;
        }
    }
    answer
}

/// `Retry-After` (RFC 9110 section 10.2.3), seconds or a date, as milliseconds from now; the backoff bounds it.
fn retry_after_ms(headers: &HeaderMap, now_ms: InstantMs) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds) * 1_000);
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(date.timestamp_millis().saturating_sub(now_ms).max(0))
}

#[cfg(test)]
mod tests;
