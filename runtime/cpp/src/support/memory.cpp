#include "support/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

namespace w2vc::memory {
namespace {

// What is so little that it is not worth asking the system.
constexpr double kLittleBytes = 128 << 20;

using Room = std::optional<std::int64_t>;

void least(Room& room, std::int64_t value) {
    room = room ? std::min(*room, value) : value;
}

// A file that holds a number and nothing else; none of "max".
std::optional<std::int64_t> number_in(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    std::int64_t value = 0;
    if (!(file >> word)) return std::nullopt;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return value;
}

// Bytes of files that are kept until their memory is wanted.
std::int64_t reclaimable(const std::string& path) {
    std::ifstream file(path);
    std::array<std::int64_t, 2> own{}, total{-1, -1};
    std::string name;
    for (std::int64_t value = 0; file >> name >> value;) {
        if (name == "inactive_file") own[0] = value;
        if (name == "active_file") own[1] = value;
        if (name == "total_inactive_file") total[0] = value;
        if (name == "total_active_file") total[1] = value;
    }
    return (total[0] < 0 ? own[0] : total[0]) + (total[1] < 0 ? own[1] : total[1]);
}

void room_of_group(const std::string& folder, const char* limit, const char* usage, Room& room) {
    const auto most = number_in(folder + "/" + limit), used = number_in(folder + "/" + usage);
    if (!most || !used) return;
    least(room, std::max<std::int64_t>(0, *most - *used + reclaimable(folder + "/memory.stat")));
}

// Control groups of this process and those around them. In a container the path is that of the host, and the
// group itself is at the root.
void rooms_of_groups(Room& room) {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool unified = controllers == ",,";
        if (!unified && controllers.find(",memory,") == controllers.npos) continue;
        const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        std::string path = line.substr(second + 1);
        while (true) {
            while (!path.empty() && path.back() == '/') path.pop_back();
            room_of_group(root + path, unified ? "memory.max" : "memory.limit_in_bytes",
                          unified ? "memory.current" : "memory.usage_in_bytes", room);
            if (path.empty()) break;
            path.resize(std::min(path.size(), path.rfind('/')));
        }
    }
}

void rooms_of_process(Room& room) {
    std::ifstream file("/proc/self/statm");
    std::array<std::int64_t, 6> pages{};
    for (std::int64_t& each : pages) {
        if (!(file >> each)) return;
    }
    const std::int64_t size = ::sysconf(_SC_PAGESIZE);
    const auto limit = [&](int of, std::int64_t used) {
        struct rlimit bounds {};
        if (::getrlimit(static_cast<__rlimit_resource_t>(of), &bounds) != 0 ||
            bounds.rlim_cur == RLIM_INFINITY)
            return;
        const auto most = static_cast<std::int64_t>(std::min<rlim_t>(bounds.rlim_cur, INT64_MAX));
        least(room, std::max<std::int64_t>(0, most - used * size));
    };
    limit(RLIMIT_AS, pages[0]);
    limit(RLIMIT_DATA, pages[5]);
}

template <typename... Values>
std::string formatted(const char* format, Values... values) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return buffer.data();
}

}  // namespace

std::optional<std::int64_t> available_bytes() {
    Room room;
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        long long kilobytes = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %lld", &kilobytes) == 1) least(room, kilobytes << 10);
    }
    rooms_of_groups(room);
    rooms_of_process(room);
    return room;
}

std::optional<std::string> shortage(const std::string& what, double needed) {
    if (needed <= kLittleBytes) return std::nullopt;
    const auto available = available_bytes();
    if (!available || needed <= static_cast<double>(*available)) return std::nullopt;
    return what + " take about " + bytes_shown(needed) + " of memory, and " +
           bytes_shown(static_cast<double>(*available)) + " are free here";
}

std::string duration_shown(double seconds) {
    if (seconds < 7200) return seconds < 100 ? formatted("%.3g s", seconds) : formatted("%.0f s", seconds);
    return formatted("%.0f hours", seconds / 3600);
}

std::string bytes_shown(double count) {
    if (count >= 1e12) return formatted("%.1f TB", count / 1e12);
    if (count >= 1e9) return formatted("%.1f GB", count / 1e9);
    return formatted("%.0f MB", count / 1e6);
}

}  // namespace w2vc::memory
