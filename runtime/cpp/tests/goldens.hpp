// Golden vectors that tests/native/goldens.py wrote: records, each a name and bytes.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace w2vc::goldens {

struct Record {
    std::string name;
    std::string content;

    template <typename T>
    std::vector<T> as() const {
        std::vector<T> values(content.size() / sizeof(T));
        if (!values.empty()) std::memcpy(values.data(), content.data(), values.size() * sizeof(T));
        return values;
    }
};

// The directory of the vectors; empty where there are none.
inline std::string directory() {
    const char* name = std::getenv("W2VC_GOLDENS");
    return name ? name : "";
}

// The records of a file, which must have some; none where there is no directory of vectors.
inline std::vector<Record> records(const std::string& name) {
    std::vector<Record> found;
    if (directory().empty()) {
        MESSAGE("no golden vectors: W2VC_GOLDENS names no directory");
        return found;
    }
    std::ifstream file(directory() + "/" + name, std::ios::binary);
    std::uint32_t length = 0;
    std::uint64_t size = 0;
    while (file.read(reinterpret_cast<char*>(&length), sizeof length)) {
        Record record;
        record.name.resize(length);
        file.read(record.name.data(), length);
        file.read(reinterpret_cast<char*>(&size), sizeof size);
        record.content.resize(size);
        file.read(record.content.data(), static_cast<std::streamsize>(size));
        REQUIRE(file);
        found.push_back(std::move(record));
    }
    REQUIRE_FALSE(found.empty());
    return found;
}

}  // namespace w2vc::goldens
