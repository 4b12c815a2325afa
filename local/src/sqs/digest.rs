//! MD5s in SQS's responses, with which a client checks that the data arrived unchanged.

use md5::{Digest, Md5};

use super::message::{AttributeValue, TypedAttribute};

/// Type byte of a text value (String or Number) in the digest of attributes.
const TEXT: u8 = 1;
/// Type byte of a binary value.
const BINARY: u8 = 2;

/// Returns the MD5 of a message body in lower-case hexadecimal.
pub(crate) fn hash_body(body: &str) -> String {
    const_hex::encode(Md5::digest(body.as_bytes()))
}

/// Returns the MD5 of message attributes, or `None` if there are no attributes.
///
/// AWS's algorithm hashes for each attribute, in the order of names: the name and the data type,
/// each preceded by its length in four big-endian bytes, one byte for the type of the value, and
/// the value, preceded by its length. `attributes` must be sorted by name, as in a `BTreeMap`.
pub(crate) fn hash_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a TypedAttribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let mut any = false;
    for (name, attribute) in attributes {
        any = true;
        add(&mut digest, name.as_bytes());
        add(&mut digest, attribute.data_type.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                digest.update([TEXT]);
                add(&mut digest, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                digest.update([BINARY]);
                add(&mut digest, bytes);
            }
        }
    }
    any.then(|| const_hex::encode(digest.finalize()))
}

fn add(digest: &mut Md5, bytes: &[u8]) {
    // A request is far smaller than 4 GiB, so the length always fits. `unwrap_or` only avoids a
    // panic.
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data_type: &str, value: &str) -> TypedAttribute {
        TypedAttribute {
            data_type: data_type.to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        }
    }

    #[test]
    fn a_body_has_the_md5_of_rfc_1321() {
        assert_eq!(
            hash_body("message digest"),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
        assert_eq!(hash_body("test"), "098f6bcd4621d373cade4e832627b4f6");
    }

    #[test]
    fn attributes_have_the_md5_that_aws_returned_for_them() {
        let attribute = text("String", "foobar");
        assert_eq!(
            hash_attributes([("MyAttribute", &attribute)]).as_deref(),
            Some("adb59cd4678ea5a855436b949cd07ab6")
        );
        let timestamp = text("Number", "1493147359900");
        assert_eq!(
            hash_attributes([("timestamp", &timestamp)]).as_deref(),
            Some("235c5c510d26fb653d073faed50ae77c")
        );
        let (general, hello, help) = (
            text("String", "Kenobi"),
            text("String", "There"),
            text("String", "Me"),
        );
        let several = [("General", &general), ("Hello", &hello), ("Help.Me", &help)];
        assert_eq!(
            hash_attributes(several).as_deref(),
            Some("4c360f3fdafd970e05fae2f149d997f5")
        );
    }

    #[test]
    fn bytes_and_text_of_the_same_content_differ() {
        let bytes = TypedAttribute {
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(b"x".to_vec()),
        };
        assert_ne!(
            hash_attributes([("a", &bytes)]),
            hash_attributes([("a", &text("Binary", "x"))])
        );
    }

    #[test]
    fn an_empty_attribute_map_has_no_md5() {
        assert_eq!(hash_attributes(std::iter::empty()), None);
    }
}
