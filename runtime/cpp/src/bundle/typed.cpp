#include "bundle/typed.hpp"

#include <algorithm>

#include "support/text.hpp"

namespace w2vc::bundle {
namespace {

constexpr std::size_t kMostListed = 5;

std::string listed(std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    const bool more = names.size() > kMostListed;
    if (more) names.resize(kMostListed);
    return text::join(names, ", ") + (more ? ", ..." : "");
}

bool identifier(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string inside(const std::string& place, std::string_view name) {
    const std::string shown = identifier(name) ? std::string(name) : text::cut(text::quoted(name));
    return place.empty() ? shown : place + "." + shown;
}

std::string or_it(const std::string& place) {
    return place.empty() ? "it" : place;
}

[[noreturn]] void mismatch(const std::string& place, const std::string& data, const std::string& wanted) {
    throw TypeMismatch(or_it(place) + " is " + data + ", and must be " + wanted);
}

// Whether data is of the sort that a type is made of, whatever is in it.
bool takes(const Type& type, const json::Value& data) {
    const json::Type found = data.type();
    switch (type.base) {
        case Base::null:
            return found == json::Type::null;
        case Base::boolean:
            return found == json::Type::boolean;
        case Base::integer:
            return found == json::Type::integer;
        case Base::number:
            return found == json::Type::integer || found == json::Type::real;
        case Base::text:
            return found == json::Type::text;
        case Base::list:
        case Base::fixed_list:
            return found == json::Type::list;
        case Base::map:
            return found == json::Type::object;
        case Base::record:
            break;
    }
    if (found != json::Type::object) return false;
    if (type.kind.empty()) return true;
    const auto kind = data.find("kind");
    return kind && kind->is(json::Type::text) && kind->text() == type.kind;
}

std::string named(const Types& types) {
    std::vector<std::string> names;
    for (const Type& type : types) {
        std::string name;
        switch (type.base) {
            case Base::null:
                name = "null";
                break;
            case Base::boolean:
                name = "true or false";
                break;
            case Base::integer:
                name = "a whole number";
                break;
            case Base::number:
                name = "a number";
                break;
            case Base::text:
                name = "a text";
                break;
            case Base::list:
            case Base::fixed_list:
                name = "a list";
                break;
            case Base::map:
            case Base::record:
                name = "an object";
                break;
        }
        for (const Rule& rule : type.rules) {
            if (rule.kind == Rule::Kind::range) name += " " + rule.wanted;
        }
        names.push_back(name);
    }
    return text::join(names, " or ");
}

bool within(const Rule& rule, const json::Value& data) {
    const long double value = data.is(json::Type::integer) ? static_cast<long double>(data.integer())
                                                           : static_cast<long double>(data.number());
    return rule.low <= value && value <= rule.high;
}

bool one_of(const Rule& rule, std::string_view value) {
    return std::find(rule.values.begin(), rule.values.end(), value) != rule.values.end();
}

bool allows(const Rule& rule, const json::Value& data) {
    switch (rule.kind) {
        case Rule::Kind::range:
            return within(rule, data);
        case Rule::Kind::one_of:
            return one_of(rule, data.text());
        case Rule::Kind::pattern:
            return rule.matches(data.text());
        case Rule::Kind::at_least:
            return data.size() >= rule.entries;
    }
    return false;
}

void check_key(const Types& types, std::string_view key, const std::string& place) {
    for (const Rule& rule : types.front().rules) {
        const bool fits = rule.kind == Rule::Kind::pattern ? rule.matches(key) : one_of(rule, key);
        if (!fits) mismatch("a name in " + place, text::cut(text::quoted(key)), rule.wanted);
    }
}

void check_record(const Type& type, const json::Value& data, const std::string& place) {
    std::vector<std::string> missing, strange;
    for (const Field& field : type.fields) {
        if (!field.omitted && !data.find(field.name)) missing.push_back(field.name);
    }
    if (!missing.empty()) throw TypeMismatch(or_it(place) + " lacks " + listed(missing));
    for (const auto& [key, value] : data.members()) {
        const std::string_view name = key;
        const bool known = (!type.kind.empty() && name == "kind") ||
                           std::any_of(type.fields.begin(), type.fields.end(),
                                       [&](const Field& field) { return field.name == name; });
        if (!known) strange.push_back(text::cut(text::quoted(name)));
    }
    if (!strange.empty())
        throw TypeMismatch(or_it(place) + " has " + listed(strange) + ", which nobody knows");
    for (const Field& field : type.fields) {
        if (const auto value = data.find(field.name)) check(field.types, *value, inside(place, field.name));
    }
}

void check_base(const Type& type, const json::Value& data, const std::string& place) {
    if (type.base == Base::record) return check_record(type, data, place);
    if (type.base == Base::map) {
        for (const auto& [key, value] : data.members()) {
            check_key(type.inner[0], key, place);
            check(type.inner[1], value, inside(place, key));
        }
    }
    if (type.base == Base::fixed_list && data.size() != type.inner.size()) {
        mismatch(place, json::shown(data), "a list of " + std::to_string(type.inner.size()));
    }
    if (type.base == Base::list || type.base == Base::fixed_list) {
        std::size_t index = 0;
        for (const json::Value& each : data.items()) {
            const Types& types = type.inner[type.base == Base::list ? 0 : index];
            check(types, each, place + "[" + std::to_string(index++) + "]");
        }
    }
}

}  // namespace

void check(const Types& types, const json::Value& data, const std::string& place) {
    const auto fitting =
        std::find_if(types.begin(), types.end(), [&](const Type& type) { return takes(type, data); });
    if (fitting == types.end()) {
        std::vector<std::string> kinds;
        for (const Type& type : types) {
            if (!type.kind.empty()) kinds.push_back(type.kind);
        }
        if (!kinds.empty() && data.is(json::Type::object)) {
            const auto kind = data.find("kind");
            mismatch(inside(place, "kind"), kind ? json::shown(*kind) : "null", text::join(kinds, " or "));
        }
        mismatch(place, json::shown(data), named(types));
    }
    check_base(*fitting, data, place);
    for (const Rule& rule : fitting->rules) {
        if (!allows(rule, data)) mismatch(place, json::shown(data), rule.wanted);
    }
}

}  // namespace w2vc::bundle
