// Reads the recordings of the examples.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

// The samples of a WAV file of 16 bits, mono, at some rate. Throws std::runtime_error.
inline std::vector<float> read_wav(const std::string& path, unsigned rate) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<unsigned char> bytes{std::istreambuf_iterator<char>(file), {}};
    const auto number = [&](std::size_t place, int count) {
        std::uint32_t value = 0;
        while (count--) value = value << 8 | bytes.at(place + static_cast<std::size_t>(count));
        return value;
    };
    const auto called = [&](std::size_t place, const char* name) {
        return place + 8 <= bytes.size() && std::string(bytes.begin() + static_cast<long>(place),
                                                        bytes.begin() + static_cast<long>(place) + 4) == name;
    };
    bool fits = false;
    std::vector<float> samples;
    for (std::size_t place = called(0, "RIFF") ? 12 : bytes.size(); place + 8 <= bytes.size();) {
        const std::size_t size = number(place + 4, 4), end = std::min(place + 8 + size, bytes.size());
        if (called(place, "fmt ") && size >= 16 && place + 24 <= bytes.size()) {
            fits = number(place + 8, 2) == 1 && number(place + 10, 2) == 1 && number(place + 12, 4) == rate &&
                   number(place + 22, 2) == 16;
        } else if (called(place, "data") && fits) {
            for (std::size_t at = place + 8; at + 2 <= end; at += 2) {
                samples.push_back(static_cast<std::int16_t>(number(at, 2)) / 32768.0f);
            }
            return samples;
        }
        place = end + size % 2;
    }
    throw std::runtime_error(path + " is not WAV of 16 bits, mono, at " + std::to_string(rate) + " Hz");
}
