#include "sessions/checked.hpp"

#include <map>

#include "support/error.hpp"
#include "support/text.hpp"

namespace w2vc::sessions {
namespace {

using Sizes = std::map<std::string, std::int64_t>;

bool fits(const Fetch& fetch, const bundle::Tensor& tensor, const Sizes& sizes) {
    if (fetch.type != tensor.dtype || fetch.shape.size() != tensor.shape.size()) return false;
    for (std::size_t axis = 0; axis < fetch.shape.size(); ++axis) {
        const auto* name = std::get_if<std::string>(&tensor.shape[axis]);
        if (!name && fetch.shape[axis] != std::get<std::int64_t>(tensor.shape[axis])) return false;
        const auto known = name ? sizes.find(*name) : sizes.end();
        if (known != sizes.end() && fetch.shape[axis] != known->second) return false;
    }
    return true;
}

std::string shown(const Fetch& fetch) {
    if (fetch.type == "nothing") return fetch.type;
    std::vector<std::string> sizes;
    for (const std::int64_t size : fetch.shape) sizes.push_back(std::to_string(size));
    return fetch.type + " [" + text::join(sizes, ", ") + "]";
}

std::string shown(const bundle::Tensor& tensor) {
    std::vector<std::string> axes;
    for (const bundle::Dimension& each : tensor.shape) {
        const auto* name = std::get_if<std::string>(&each);
        axes.push_back(name ? *name : std::to_string(std::get<std::int64_t>(each)));
    }
    return tensor.dtype + " [" + text::join(axes, ", ") + "]";
}

}  // namespace

std::vector<Fetch> run_checked(const Session& session, const bundle::Manifest& manifest,
                               const std::vector<Feed>& feeds) {
    Sizes sizes;  // of the dimensions that vary, as far as the inputs give them
    for (std::size_t index = 0; index < feeds.size(); ++index) {
        const auto& shape = manifest.inputs[index].shape;
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            if (const auto* name = std::get_if<std::string>(&shape[axis]))
                sizes[*name] = feeds[index].shape[axis];
        }
    }
    std::vector<std::string> names;
    for (const bundle::Tensor& tensor : manifest.outputs) names.push_back(tensor.name);
    std::vector<Fetch> fetched = session.run(feeds, names);
    for (std::size_t index = 0; index < fetched.size(); ++index) {
        const bundle::Tensor& tensor = manifest.outputs[index];
        if (!fits(fetched[index], tensor, sizes)) {
            throw Error(ErrorKind::inference, "the graph gives " + shown(fetched[index]) + " as " +
                                                  tensor.name + ", and its manifest says " + shown(tensor) +
                                                  "; export the bundle again");
        }
    }
    return fetched;
}

}  // namespace w2vc::sessions
