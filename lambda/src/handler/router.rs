//! Routing of messages to handlers by their type.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::ready;

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::{BoxedHandlerFuture, Handler, HandlerFn};
use crate::failure::Failure;
use crate::message::{BodyError, Message, Raw};
use crate::spans;

/// `error.type` of messages without a route.
const UNKNOWN_TYPE: &str = "unknown_message_type";
/// `error.type` of messages without a type.
const MISSING_TYPE: &str = "missing_message_type";
/// Maximum length of a type in bytes, in spans and errors. The sender of a message chooses its
/// type, which can be long.
const MAX_TYPE_BYTES: usize = 128;

/// A handler that passes each message to another handler, by the type of the message.
///
/// The type is the value of a message attribute, the value of a field of the body, or the result of
/// a function. The body is decoded into the type of the selected handler. The record span has the
/// message's type in `baton.message.type`.
///
/// A message without a type, or whose type has no route, fails permanently with the `error.type`
/// `missing_message_type` or `unknown_message_type`, unless there is a handler for
/// [all other messages](Self::otherwise).
///
/// ```
/// use baton_lambda::testing::{Batch, Record};
/// use baton_lambda::{Failure, Message, Raw, Router};
///
/// #[derive(serde::Deserialize)]
/// struct Created {
///     id: u32,
/// }
///
/// async fn on_created(message: Message<Created>) -> Result<(), Failure> {
///     println!("order {} created", message.body.id);
///     Ok(())
/// }
///
/// async fn on_other(message: Message<Raw>) -> Result<(), Failure> {
///     println!("message {} ignored", message.id());
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let router = Router::by_attribute("type").route("created", on_created).otherwise(on_other);
/// let batch = Batch::standard("orders")
///     .record(Record::raw(r#"{"id": 1}"#).attribute("type", "created"))
///     .record(Record::raw("").attribute("type", "deleted"));
/// let outcome = batch.run(router).await;
/// assert!(outcome.failed().is_empty());
/// assert_eq!(outcome.spans()[0].attributes["baton.message.type"], "created");
/// # }
/// ```
///
/// The handler of each route can take the state of the consumer as its second argument.
pub struct Router<S> {
    key: RouteKey,
    routes: HashMap<Cow<'static, str>, Route<S>>,
    otherwise: Option<Route<S>>,
}

type Route<S> = Box<dyn Fn(Message<Raw>, &S) -> BoxedHandlerFuture + Send + Sync>;

type FindType = dyn Fn(&Message<Raw>) -> Option<String> + Send + Sync;

/// Place of the type in a message.
enum RouteKey {
    Attribute(Cow<'static, str>),
    Field(Cow<'static, str>),
    Function(Box<FindType>),
}

impl<S: 'static> Router<S> {
    /// Creates a router by the message attribute with this name.
    #[must_use]
    pub fn by_attribute(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RouteKey::Attribute(name.into()))
    }

    /// Creates a router by the string in the field with this name. The body must be a JSON object.
    /// An [envelope](crate::Envelope) is removed first.
    #[must_use]
    pub fn by_field(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RouteKey::Field(name.into()))
    }

    /// Creates a router by the type that a function returns, such as the `detail-type` of an
    /// EventBridge event.
    ///
    /// ```
    /// use baton_lambda::Router;
    ///
    /// let router = Router::<()>::by_key(|message| Some(message.event_bridge()?.detail_type));
    /// ```
    #[must_use]
    pub fn by_key(find: impl Fn(&Message<Raw>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::new(RouteKey::Function(Box::new(find)))
    }

    fn new(key: RouteKey) -> Self {
        Self {
            key,
            routes: HashMap::new(),
            otherwise: None,
        }
    }

    /// Passes the messages of a type to this handler.
    ///
    /// # Panics
    ///
    /// Panics if the type already has a route.
    #[must_use]
    pub fn route<H, Args>(mut self, message_type: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        H: Handler<S, Args>,
    {
        let message_type = message_type.into();
        let is_new = !self.routes.contains_key(&message_type);
        assert!(is_new, "message type {message_type:?} already has a route");
        self.routes.insert(message_type, box_route(handler));
        self
    }

    /// Passes all other messages to this handler, including those without a type. Replaces an
    /// earlier handler for them.
    #[must_use]
    pub fn otherwise<H, Args>(mut self, handler: H) -> Self
    where
        H: Handler<S, Args>,
    {
        self.otherwise = Some(box_route(handler));
        self
    }

    /// Returns the route of a message, and records its type on the active span.
    fn find(&self, message: &Message<Raw>) -> Result<&Route<S>, Failure> {
        let message_type = self.key.read(message).map_err(Failure::from_invalid_body);
        let message_type = match (message_type, &self.otherwise) {
            (Ok(Some(message_type)), _) => message_type,
            (Ok(None) | Err(_), Some(route)) => return Ok(route),
            (Ok(None), None) => {
                let reason = format!("the message has no type in {}", self.key);
                return Err(Failure::permanent(MISSING_TYPE, reason));
            }
            (Err(failure), None) => return Err(failure),
        };
        let text = shorten(&message_type);
        let attribute = KeyValue::new(spans::MESSAGE_TYPE, text.to_owned());
        Context::map_current(|context| context.span().set_attribute(attribute));
        let route = self.routes.get(message_type.as_str());
        route.or(self.otherwise.as_ref()).ok_or_else(|| {
            let reason = format!("no route for message type {text:?} in {}", self.key);
            Failure::permanent(UNKNOWN_TYPE, reason)
        })
    }
}

impl RouteKey {
    /// Returns the type of a message, or `None` if it has none.
    fn read(&self, message: &Message<Raw>) -> Result<Option<String>, BodyError> {
        match self {
            Self::Attribute(name) => Ok(message.attribute(name).map(Cow::into_owned)),
            Self::Field(name) => read_field(&message.body, name),
            Self::Function(find) => Ok(find(message)),
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(formatter, "message attribute {name:?}"),
            Self::Field(name) => write!(formatter, "field {name:?} of the body"),
            Self::Function(_) => formatter.write_str("the result of the router's function"),
        }
    }
}

fn box_route<H, S, Args>(handler: H) -> Route<S>
where
    H: Handler<S, Args>,
{
    Box::new(move |message, state| match message.decode_as() {
        Ok(message) => handler.handle(message, state),
        Err(error) => Box::pin(ready(Err(error.into()))),
    })
}

/// Cuts a type that is too long.
fn shorten(message_type: &str) -> &str {
    &message_type[..message_type.floor_char_boundary(MAX_TYPE_BYTES)]
}

/// Marker of [`Router`] in the parameter `Args` of [`Handler`].
#[derive(Debug)]
pub struct RouterArgs(());

#[diagnostic::do_not_recommend]
impl<S: 'static> HandlerFn<S, RouterArgs> for Router<S> {
    type Body = Raw;
    type Future = BoxedHandlerFuture;

    fn call(&self, message: Message<Raw>, state: &S) -> BoxedHandlerFuture {
        match self.find(&message) {
            Ok(route) => route(message, state),
            Err(failure) => Box::pin(ready(Err(failure))),
        }
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Router")
            .field("key", &format_args!("{}", self.key))
            .field("routes", &self.routes.keys())
            .finish_non_exhaustive()
    }
}

/// Returns the string in a field of a JSON object, without decoding the other fields. If several
/// fields have this name, the last one is used.
fn read_field(json: &str, name: &str) -> Result<Option<String>, BodyError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = deserializer.deserialize_map(FieldVisitor(name));
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        if error.is_data() {
            BodyError::TypeField {
                name: name.to_owned(),
                line: error.line(),
                column: error.column(),
            }
        } else {
            error.into()
        }
    })
}

struct FieldVisitor<'a>(&'a str);

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(is_field) = map.next_key_seed(NameSeed(self.0))? {
            if is_field {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares the name of a field.
struct NameSeed<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests;
