//! One answer as it is read: each event or document that its framing gives, to events of ours.

use crate::domain::stream::StreamEvent;
use crate::wire::closing::{Closing, Sink};
use crate::wire::framing::alike::Alike;
use crate::wire::framing::aws_eventstream::Frame;
use crate::wire::framing::sse;
use crate::wire::reader::{Reader, Shown};
use crate::wire::{aws_errors, bedrock_invoke, mend, shape};

#[derive(Debug)]
pub(super) struct State {
    pub(super) reader: Box<dyn Reader>,
    pub(super) alike: Alike,
    pub(super) closing: Closing,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) strip_usage: bool,
    pub(super) limits: shape::Limits,
    pub(super) frames: u64,
}

impl State {
    /// A plain answer. One that is a document a line after all is read as the events they are.
    pub(super) fn document(&mut self, body: Vec<u8>, out: &mut Vec<StreamEvent>) {
        if let Err(error) = shape::survey_answer(&body, self.limits) {
            return self.closing.fail(error.into(), out);
        }
        let body = mend::mended(&body).unwrap_or(body);
        if let Some(documents) = mend::documents(&body) {
            self.raw = None;
            documents.iter().for_each(|document| self.event(b"", document.get().as_bytes(), b"", out));
            return;
        }
        self.reader.answer(&body, &mut Sink { closing: &mut self.closing, out });
        if let (Some(raw), false) = (&mut self.raw, self.closing.is_failed()) {
            *raw = self.reader.rewritten().unwrap_or(body);
        }
    }

    pub(super) fn sse_event(&mut self, event: &sse::Event<'_>, out: &mut Vec<StreamEvent>) {
        match event.data {
            Some(data) => self.event(event.name, data, event.raw, out),
            None if !self.closing.is_ended() => {
                self.closing.push(StreamEvent::Ping, out);
                self.keep(event.raw);
            }
            None => {}
        }
    }

    pub(super) fn event(&mut self, name: &[u8], data: &[u8], raw: &[u8], out: &mut Vec<StreamEvent>) {
        let data = data.trim_ascii();
        if self.closing.is_ended() {
            return;
        }
        if mend::says_nothing(data) {
            // A keep-alive in a form that clients of no dialect expect: it stays here.
            return self.closing.push(StreamEvent::Ping, out);
        }
        self.frames += 1;
        if let Some(event) = self.alike.read(name, data) {
            self.closing.readable();
            self.closing.push(event, out);
            return self.keep(raw);
        }
        // One that is recognised is as deep as the one that was read.
        if let Err(error) = shape::survey_answer(data, self.limits) {
            return self.closing.fail(error.into(), out);
        }
        let (before, notes) = (out.len(), self.closing.notes());
        let mut sink = Sink { closing: &mut self.closing, out };
        let shown = self.reader.event(name, data, &mut sink);
        if shown == Shown::Unreadable {
            return self.unreadable(name, data, out);
        }
        let rewritten = self.reader.rewritten();
        if self.closing.notes() != notes {
            self.alike.forget();
        } else if let (Shown::Yes, None, Some(padding)) = (shown, &rewritten, self.reader.padding()) {
            self.alike.learn((name, data), out.get(before..).unwrap_or_default(), padding);
        }
        let hidden = shown == Shown::Unusable || (shown == Shown::UsageOnly && self.strip_usage);
        if hidden || self.closing.is_failed() {
            return;
        }
        match rewritten.filter(|_| self.raw.is_some()) {
            Some(data) => self.keep(&sse::encode_event(&data)),
            None => self.keep(raw),
        }
    }

    /// An event that is no JSON, or none of this dialect: read once more without what only its
    /// strings have wrong, else counted and left out.
    fn unreadable(&mut self, name: &[u8], data: &[u8], out: &mut Vec<StreamEvent>) {
        if let Some(mended) = mend::mended(data) {
            let mut sink = Sink { closing: &mut self.closing, out };
            if self.reader.event(name, &mended, &mut sink) == Shown::Yes {
                let data = self.reader.rewritten().unwrap_or(mended);
                return self.keep(&sse::encode_event(&data));
            }
        }
        let detail = match serde_json::from_slice::<serde::de::IgnoredAny>(data) {
            Ok(_) => "the event has not this dialect's form".to_owned(),
            Err(error) => error.to_string(),
        };
        self.closing.push(StreamEvent::Malformed(detail), out);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(bytes);
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame<'_>, chunks: bool, out: &mut Vec<StreamEvent>) {
        if self.closing.is_ended() {
            return;
        }
        match frame.header(":message-type") {
            None => return self.closing.push(StreamEvent::Ping, out), // legal, and says nothing
            Some("event") => {}
            Some(_) => return self.closing.fail(aws_errors::exception(frame), out),
        }
        let name = frame.header(":event-type").unwrap_or("");
        if !chunks {
            return self.event(name.as_bytes(), frame.payload, b"", out);
        }
        if !name.is_empty() && name != "chunk" {
            return Sink { closing: &mut self.closing, out }.unknown(); // none of the model's
        }
        match bedrock_invoke::chunk(frame.payload) {
            Ok(data) => {
                let raw = if self.raw.is_some() { sse::encode_event(&data) } else { Vec::new() };
                self.event(b"", &data, &raw, out);
            }
            Err(detail) => self.closing.push(StreamEvent::Malformed(detail), out),
        }
    }
}
