//! One SMTP session per mail, step by step, so that what certainly did not arrive is told from what may have.
//!
//! Up to the final dot nothing has arrived: any failure is a retry (or the end, where the server refuses this mail for
//! good). After the dot an answer decides; without one the mail may have arrived. No fall-back to clear text.
//! Refuses to know: what the mail says.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;

use super::super::hide::{base64, chain, clean};
use super::bounded::Bounded;
use crate::outbox::{FailReason, Outcome};
use crate::receivers::{EmailConfig, MailTls, Secret, Smarthost, read_secret};

/// Longest wait for the farewell: the mail is taken by then.
const QUIT_TIMEOUT: Duration = Duration::from_millis(500);
/// From this attempt on, recipients that the server puts off no longer hold up the others.
const PATIENT_ATTEMPTS: u32 = 3;

/// "Log in first" and its kin (RFC 4954 section 6, RFC 3207 section 4), at whatever step: about us, not the mail.
const LOGIN_CODES: [&str; 4] = ["530", "534", "535", "538"];

type SmtpError = lettre::transport::smtp::Error;

/// A mail server and how to speak with it.
pub(super) struct Smtp {
    server: Smarthost,
    tls: MailTls,
    parameters: Option<TlsParameters>,
    hello: ClientId,
    login: Option<(String, PathBuf)>,
    step_timeout: Duration,
    accept_timeout: Duration,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Where in the session a failure happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    Auth,
    From,
    Recipient,
    Data,
    Accept,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Step::Connect => "connecting",
            Step::StartTls => "STARTTLS",
            Step::Auth => "AUTH",
            Step::From => "MAIL FROM",
            Step::Recipient => "RCPT TO",
            Step::Data => "DATA",
            Step::Accept => "after the mail",
        }
    }
}

/// A session's credentials and what no outcome may show.
#[derive(Default)]
struct Login {
    credentials: Option<Credentials>,
    hidden: Vec<Secret>,
}

impl Smtp {
    pub(super) fn new(config: &EmailConfig, server: &Smarthost) -> Result<Self, String> {
        let tls = config.tls();
        let parameters = if tls == MailTls::None { None } else { Some(tls_parameters(config, server)?) };
        Ok(Self {
            server: server.clone(),
            tls,
            parameters,
            hello: config.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            login: config.auth_username.clone().zip(config.auth_password_file.clone()),
            step_timeout: Duration::from_millis(config.timeout_ms),
            accept_timeout: Duration::from_millis(config.accept_timeout_ms),
        })
    }

    /// Sends a mail; `number` is the attempt's.
    pub(super) async fn send(&self, message: &Message, number: u32) -> Outcome {
        let login = match self.read_login() {
            Ok(login) => login,
            Err(outcome) => return outcome,
        };
        let (Ok(outcome) | Err(outcome)) = self.session(message, number, &login).await;
        outcome
    }

    fn read_login(&self) -> Result<Login, Outcome> {
        let Some((user, path)) = &self.login else { return Ok(Login::default()) };
        let password = read_secret(path).map_err(|e| Outcome::retry(FailReason::AuthError, e.to_string()))?;
        let plain = format!("\0{user}\0{}", password.expose());
        let hidden = vec![
            Secret::new(base64(plain.as_bytes())),
            Secret::new(base64(password.expose().as_bytes())),
            password.clone(),
        ];
        Ok(Login { credentials: Some(Credentials::new(user.clone(), password.expose().to_owned())), hidden })
    }

    async fn session(&self, message: &Message, number: u32, login: &Login) -> Result<Outcome, Outcome> {
        let mut connection = self.connect(login).await?;
        let refused = self.envelope(&mut connection, message, number, login).await;
        let refused = match refused {
            Ok(refused) => refused,
            Err(outcome) => {
                quit(&mut connection).await;
                return Err(outcome);
            }
        };
        let accepted = self.hand_over(&mut connection, message, login).await;
        quit(&mut connection).await;
        let mut detail = accepted?;
        if !refused.is_empty() {
            detail = format!("{detail}; refused for {}", refused.join("; "));
        }
        Ok(Outcome::Sent { detail })
    }

    async fn dial(&self, server: (&str, u16)) -> Result<Bounded, Outcome> {
        let failed = |reason, detail: String| {
            Outcome::retry(reason, format!("{}: {}", Step::Connect.as_str(), clean(&detail, &[])))
        };
        match tokio::time::timeout(self.step_timeout, TcpStream::connect(server)).await {
            Ok(Ok(stream)) => Ok(Bounded::new(stream)),
            Ok(Err(error)) => Err(failed(FailReason::Other, error.to_string())),
            Err(_elapsed) => {
                Err(failed(FailReason::ContextDeadlineExceeded, "no connection in time".to_owned()))
            }
        }
    }

    /// A connection that is encrypted and authenticated as configured.
    async fn connect(&self, login: &Login) -> Result<AsyncSmtpConnection, Outcome> {
        let server = (self.server.host.as_str(), self.server.port);
        let mut connection = if self.tls == MailTls::Implicit {
            // Only a server whose certificate is believed gets to say anything: its answers are not bounded.
            let timeout = Some(self.step_timeout);
            let tls = self.parameters.clone();
            let connecting = AsyncSmtpConnection::connect_tokio1(server, timeout, &self.hello, tls, None);
            self.step(Step::Connect, login, connecting).await?
        } else {
            let stream = self.dial(server).await?;
            let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello);
            self.step(Step::Connect, login, greeting).await?
        };
        if self.tls == MailTls::Starttls {
            if !connection.can_starttls() {
                quit(&mut connection).await;
                let detail =
                    "STARTTLS: the server does not offer it; the mail is kept rather than sent in clear text";
                return Err(Outcome::retry(FailReason::Other, detail));
            }
            let parameters = self.parameters.clone().expect("made for every kind of TLS");
            self.step(Step::StartTls, login, connection.starttls(parameters, &self.hello)).await?;
        }
        if let Some(credentials) = &login.credentials {
            // Checked with the configuration and here again: a password never leaves in clear text.
            if !connection.is_encrypted() {
                return Err(Outcome::retry(FailReason::AuthError, "AUTH: the connection is not encrypted"));
            }
            self.step(Step::Auth, login, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    /// `MAIL FROM` and `RCPT TO`. Answers the refused recipients, at least one being accepted.
    async fn envelope(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
        number: u32,
        login: &Login,
    ) -> Result<Vec<String>, Outcome> {
        let envelope = message.envelope();
        let mut options = Vec::new();
        let ascii = envelope
            .to()
            .iter()
            .chain(envelope.from())
            .all(|address| AsRef::<str>::as_ref(address).is_ascii());
        if !ascii {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let detail = "an address is not ASCII and the server does not offer SMTPUTF8".to_owned();
                return Err(Outcome::Dead { reason: FailReason::ClientError, detail });
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let from = connection.command(Mail::new(envelope.from().cloned(), options));
        self.step(Step::From, login, from).await?;
        let mut refused = Vec::new();
        let mut last = None;
        for to in envelope.to() {
            let rcpt = connection.command(Rcpt::new(to.clone(), vec![]));
            match self.step(Step::Recipient, login, rcpt).await {
                Ok(_) => {}
                Err(outcome @ Outcome::Retry { .. }) if number < PATIENT_ATTEMPTS => return Err(outcome),
                Err(outcome) => {
                    refused.push(format!("{to}: {}", outcome.detail()));
                    last = Some(outcome);
                }
            }
        }
        match last {
            // A broken connection looks like a refusal of all that follow; it too is a retry.
            Some(outcome) if refused.len() == envelope.to().len() || connection.has_broken() => Err(outcome),
            _ => Ok(refused),
        }
    }

    /// `DATA`, the mail, the final dot, the server's word. Answers that word.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
        login: &Login,
    ) -> Result<String, Outcome> {
        self.step(Step::Data, login, connection.command(Data)).await?;
        let bytes = message.formatted();
        let response = self.step(Step::Accept, login, connection.message(&bytes)).await?;
        Ok(clean(
            &format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" ")),
            &login.hidden,
        ))
    }

    /// Runs a step within its time and says what its failure means.
    async fn step<T>(
        &self,
        step: Step,
        login: &Login,
        work: impl Future<Output = Result<T, SmtpError>>,
    ) -> Result<T, Outcome> {
        let limit = if step == Step::Accept { self.accept_timeout } else { self.step_timeout };
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(failure(step, &error, &login.hidden)),
            Err(_elapsed) => {
                let detail = format!("{}: no answer within {} s", step.as_str(), limit.as_secs_f64());
                Err(unanswered(step, FailReason::ContextDeadlineExceeded, detail))
            }
        }
    }
}

/// No answer: after the dot the mail may have arrived, before it it has not.
fn unanswered(step: Step, reason: FailReason, detail: String) -> Outcome {
    if step == Step::Accept { Outcome::Uncertain { reason, detail } } else { Outcome::retry(reason, detail) }
}

/// What an error means: a 5yz about this mail ends it; a 5yz about the session (greeting, TLS, login) does not, for
/// those pass when someone mends the server or the password; a 4yz is tried again; no answer depends on the step.
fn failure(step: Step, error: &SmtpError, hidden: &[Secret]) -> Outcome {
    let Some(code) = error.status() else {
        let timed_out = error.is_timeout();
        let reason = if timed_out { FailReason::ContextDeadlineExceeded } else { FailReason::Other };
        return unanswered(step, reason, format!("{}: {}", step.as_str(), clean(&chain(error), hidden)));
    };
    // A server may repeat what it was sent: at AUTH its words are not shown at all.
    let said = if step == Step::Auth { "refused".to_owned() } else { clean(&chain(error), hidden) };
    let detail = format!("{}: {code} {said}", step.as_str());
    match step {
        _ if LOGIN_CODES.contains(&code.to_string().as_str()) => {
            Outcome::retry(FailReason::AuthError, detail)
        }
        Step::Auth => Outcome::retry(FailReason::AuthError, detail),
        Step::From | Step::Recipient | Step::Data | Step::Accept if error.is_permanent() => {
            Outcome::Dead { reason: FailReason::ClientError, detail }
        }
        _ => Outcome::retry(FailReason::ServerError, detail),
    }
}

async fn quit(connection: &mut AsyncSmtpConnection) {
    let _farewell: Result<Result<Response, SmtpError>, _> =
        tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
}

fn tls_parameters(config: &EmailConfig, server: &Smarthost) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(pem) = config.tls_config.ca_pem()? {
        let authority =
            Certificate::from_pem(&pem).map_err(|e| format!("tls_config.ca_file: {}", chain(&e)))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
    }
    builder.build_rustls().map_err(|e| chain(&e))
}
