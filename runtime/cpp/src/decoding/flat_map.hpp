// A map of 64-bit keys in one array, by open addressing.
#pragma once

#include <cstdint>
#include <vector>

namespace w2vc::decoding {

inline std::uint64_t mix(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15U;
    return key ^ (key >> 32U);
}

inline std::uint64_t pair_key(std::uint32_t high, std::uint32_t low) {
    return (static_cast<std::uint64_t>(high) << 32U) | low;
}

// Values are 32-bit ids but kNone. No key is taken away.
class FlatMap {
  public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

    FlatMap() : slots_(std::size_t{1} << 10U) {}

    // The value of a key; kNone for a new one, whose value is to be set before the next call.
    std::uint32_t& operator[](std::uint64_t key) {
        if (2 * count_ >= slots_.size()) {
            grow();
        }
        Slot& slot = find(key);
        if (slot.value == kNone) {
            slot.key = key;
            ++count_;
        }
        return slot.value;
    }

    // The value of a key; kNone where there is none.
    std::uint32_t get(std::uint64_t key) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t place = mix(key) & mask;
        while (slots_[place].value != kNone && slots_[place].key != key) {
            place = (place + 1) & mask;
        }
        return slots_[place].value;
    }

    void clear() {
        slots_.assign(slots_.size(), Slot{});
        count_ = 0;
    }

  private:
    struct Slot {
        std::uint64_t key = 0;
        std::uint32_t value = kNone;
    };

    Slot& find(std::uint64_t key) {
        const std::size_t mask = slots_.size() - 1;
        std::size_t place = mix(key) & mask;
        while (slots_[place].value != kNone && slots_[place].key != key) {
            place = (place + 1) & mask;
        }
        return slots_[place];
    }

    void grow() {
        std::vector<Slot> old(2 * slots_.size());
        old.swap(slots_);
        for (const Slot& slot : old) {
            if (slot.value != kNone) {
                find(slot.key) = slot;
            }
        }
    }

    std::vector<Slot> slots_;
    std::size_t count_ = 0;
};

// A set of the keys of one step: clearing it is one increment.
class StampedMap {
  public:
    // Empties the map and makes room for `count` keys.
    void reset(std::size_t count) {
        std::size_t size = slots_.empty() ? 1024 : slots_.size();
        while (size < 2 * count) {
            size *= 2;
        }
        if (size != slots_.size()) {
            slots_.assign(size, Slot{});
            stamp_ = 0;
        }
        if (++stamp_ == 0) {
            slots_.assign(size, Slot{});
            stamp_ = 1;
        }
    }

    // The value of a key; `fresh` where there was none, and it is set now.
    std::uint32_t insert(std::uint64_t key, std::uint32_t fresh) {
        const std::size_t mask = slots_.size() - 1;
        std::size_t place = mix(key) & mask;
        while (slots_[place].stamp == stamp_ && slots_[place].key != key) {
            place = (place + 1) & mask;
        }
        Slot& slot = slots_[place];
        if (slot.stamp != stamp_) {
            slot = {key, stamp_, fresh};
        }
        return slot.value;
    }

  private:
    struct Slot {
        std::uint64_t key = 0;
        std::uint32_t stamp = 0;
        std::uint32_t value = 0;
    };

    std::vector<Slot> slots_;
    std::uint32_t stamp_ = 0;
};

}  // namespace w2vc::decoding
