// What a session is. No backend is included here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace w2vc::sessions {

enum class Element { float32, int64, boolean };

// An input of a graph, not owned.
struct Feed {
    std::string name;
    Element type = Element::float32;
    const void* data = nullptr;
    std::vector<std::int64_t> shape;
};

// An output of a graph: float32 values, owned by `owner`. Without values where it is of another type, `type`.
struct Fetch {
    std::string type;
    std::vector<std::int64_t> shape;
    const float* values = nullptr;
    std::shared_ptr<void> owner;
};

// Runs a graph. Thread-safe.
class Session {
  public:
    virtual ~Session() = default;

    // What runs the graph, as w2vc calls it.
    virtual const std::string& provider() const = 0;

    // The outputs by the order of `names`; one of type "nothing" where the graph has none of that name.
    // Throws Error (inference).
    virtual std::vector<Fetch> run(const std::vector<Feed>& feeds,
                                   const std::vector<std::string>& names) const = 0;
};

}  // namespace w2vc::sessions
