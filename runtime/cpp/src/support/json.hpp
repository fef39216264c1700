// JSON from outside, within limits: it may have been made to break whoever reads it. Those of the Python
// runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct yyjson_doc;
struct yyjson_val;

namespace w2vc::json {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::size_t kMostValues = 1'000'000;
constexpr int kMostDepth = 32;
constexpr std::size_t kMostDigits = 18;  // fits 64 bits
constexpr std::size_t kMostCharacters = 10'000;

// A text is no document. The message says why, as the end of a sentence about it, and leaves its name to the
// caller.
class DocumentError : public std::exception {
  public:
    explicit DocumentError(std::string message) : message_(std::move(message)) {}
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    std::string message_;
};

enum class Type { null, boolean, integer, real, text, list, object };

// What is at a place of a document, which it does not outlive.
class Value {
  public:
    explicit Value(yyjson_val* value) : value_(value) {}

    Type type() const;
    bool is(Type wanted) const { return type() == wanted; }
    bool boolean() const;
    std::int64_t integer() const;
    double number() const;  // of a whole one too
    std::string_view text() const;
    std::size_t size() const;  // entries of a list or an object
    std::vector<Value> items() const;
    std::vector<std::pair<std::string_view, Value>> members() const;
    std::optional<Value> find(std::string_view key) const;

  private:
    yyjson_val* value_;
};

// Owns what its values show. Numbers are finite, keys of an object are told apart, and texts are UTF-8.
class Document {
  public:
    // Throws DocumentError on what is no JSON, or past the limits.
    static Document parse(std::string_view content);
    // Throws DocumentError on what is not a regular file of at most kMostBytes, too.
    static Document read(const std::string& path);

    Value root() const;

  private:
    struct Free {
        void operator()(yyjson_doc* document) const;
    };
    explicit Document(yyjson_doc* document) : document_(document) {}
    std::unique_ptr<yyjson_doc, Free> document_;
};

// A value in a few words: it may be of any size, and hold what moves a terminal.
std::string shown(const Value& value);

// A value as Python's `json.dumps(value, sort_keys=True)` writes it. without: members of an object that are
// left out.
std::string canonical(const Value& value, const std::vector<std::string_view>& without = {});

}  // namespace w2vc::json
