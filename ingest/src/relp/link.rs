//! A stream with the answers that wait to be sent on it: reads and writes as either gets possible.
//!
//! Refuses to know: what is said.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Answers of a client that does not read them; beyond it the client is not read either.
const OUT_BYTES_MAX: usize = 64 << 10;
/// How long the last words may take, and how long the other side has to close after them.
const LINGER: Duration = Duration::from_secs(2);

/// A stream and what is to be sent.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    out: Vec<u8>,
    sent: usize,
    /// Bytes were written that the stream may still keep to itself.
    unflushed: bool,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Moved {
    /// Bytes came; 0: the end.
    Read(usize),
    /// Answers went.
    Wrote,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, out: Vec::new(), sent: 0, unflushed: false }
    }

    /// Where answers are appended.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether all answers were sent.
    pub(super) fn is_sent(&self) -> bool {
        self.out.is_empty() && !self.unflushed
    }

    /// Whether the client leaves its answers unread.
    pub(super) fn is_clogged(&self) -> bool {
        self.out.len() >= OUT_BYTES_MAX
    }

    /// Sends some of the answers, or reads into `space` if there is any. May be dropped and called again.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn moved(&mut self, mut space: Option<&mut [u8]>) -> io::Result<Moved> {
        poll_fn(|cx| {
            if !self.out.is_empty() {
                if let Poll::Ready(wrote) = Pin::new(&mut self.stream).poll_write(cx, &self.out[self.sent..])
                {
                    let bytes = wrote?;
                    if bytes == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    self.sent += bytes;
                    if self.sent == self.out.len() {
                        self.out.clear();
                        (self.sent, self.unflushed) = (0, true);
                    }
                    return Poll::Ready(Ok(Moved::Wrote));
                }
            } else if self.unflushed
                && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
            {
                flushed?;
                self.unflushed = false;
                return Poll::Ready(Ok(Moved::Wrote));
            }
            let Some(space) = &mut space else { return Poll::Pending };
            let mut space = ReadBuf::new(space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut space) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(Moved::Read(space.filled().len()))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Sends what is left and closes. Reads on until the other side closes, too: a socket that is closed with bytes
    /// unread resets the connection, and the last answers would be lost.
    pub(super) async fn close(mut self) {
        let last = async {
            self.stream.write_all(&self.out[self.sent..]).await?;
            self.stream.shutdown().await?;
            let mut unread = [0; 4096];
            while self.stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        // Late or broken: the sender sends again what it has no answer to.
        drop(timeout(LINGER, last).await);
    }
}
