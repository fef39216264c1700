// Plain data held to types, as the Python runtime's `typed.py` does, with the same messages.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/json.hpp"

namespace w2vc::bundle {

// Data is not of the type that is wanted. The message says where in it, what is there, and what must be.
class TypeMismatch : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// What a value must be beside its type.
struct Rule {
    enum class Kind { range, one_of, pattern, at_least };
    Kind kind = Kind::range;
    std::string wanted;             // in words
    long double low = 0, high = 0;  // exact for whole numbers of 64 bits
    std::vector<std::string> values;
    bool (*matches)(std::string_view) = nullptr;
    std::size_t entries = 0;
};

enum class Base { null, boolean, integer, number, text, list, fixed_list, map, record };

struct Type;
using Types = std::vector<Type>;  // alternatives

struct Field {
    std::string name;
    Types types;
    bool omitted = false;  // may be missing
};

struct Type {
    Base base = Base::null;
    std::vector<Rule> rules;
    std::vector<Types> inner;   // of a list: its entries; of a fixed list: each; of a map: names and values
    std::vector<Field> fields;  // of a record
    std::string kind;           // of a record that is told from others by its member `kind`
};

// Throws TypeMismatch where data is not of one of the types. place: where it is in the document.
void check(const Types& types, const json::Value& data, const std::string& place = "");

}  // namespace w2vc::bundle
