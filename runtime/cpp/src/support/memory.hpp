// What this process can still take of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace w2vc::memory {

// That something takes more bytes than there are, for people; none where it does not, or where nobody knows.
// what: its subject, such as "20 clips".
std::optional<std::string> shortage(const std::string& what, double needed);

// What this process can still take: of the machine, of its control groups, of its own limits (Linux). None
// where the system does not say.
std::optional<std::int64_t> available_bytes();

// Seconds for people, or hours.
std::string duration_shown(double seconds);

// A number of bytes for people.
std::string bytes_shown(double count);

}  // namespace w2vc::memory
