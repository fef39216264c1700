#include "bundle/files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "bundle/onnx_file.hpp"
#include "support/error.hpp"
#include "support/files.hpp"
#include "support/text.hpp"

namespace w2vc::bundle {
namespace {

constexpr std::size_t kMostShown = 60;

Error unreadable(const std::string& path, int code, const std::string& remedy) {
    return {ErrorKind::bundle,
            path + " cannot be read (" + std::generic_category().message(code) + "); " + remedy};
}

constexpr int kMostLinks = 40;  // as Linux follows

// Where a path leads, through links, as far as it exists; empty on a cycle, or where the system does not say.
std::string resolved(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::path waiting = fs::absolute(path, error), found = "/";
    for (int links = 0; !error && links <= kMostLinks;) {
        if (waiting.empty()) return found.string();
        const fs::path first = *waiting.begin();
        fs::path rest;
        for (auto part = std::next(waiting.begin()); part != waiting.end(); ++part) rest /= *part;
        waiting = rest;
        if (first == "/")
            found = first;
        else if (first == "..")
            found = found.parent_path();
        else if (!first.empty() && first != ".") {
            std::error_code missing;
            if (fs::is_symlink(fs::symlink_status(found / first, missing))) {
                waiting = fs::read_symlink(found / first, error) / rest;
                ++links;
            } else {
                found /= first;
            }
        }
    }
    return "";
}

// Whether a path leads into a directory.
bool within(const std::string& path, const std::string& directory) {
    std::string base = resolved(directory);
    if (base.empty()) return true;
    if (base.back() != '/') base += '/';
    const std::string leads = resolved(path);
    return leads.empty() || leads.compare(0, base.size(), base) == 0;  // a cycle of links leads nowhere
}

Error unfit(const std::string& path, const std::string& name) {
    const auto points = text::code_points(name);
    std::string shown = text::quoted(name);
    if (points.size() > kMostShown) {
        std::size_t bytes = 0, seen = 0;
        while (bytes < name.size() && seen < kMostShown) {
            ++bytes;
            while (bytes < name.size() && (static_cast<unsigned char>(name[bytes]) & 0xC0) == 0x80) ++bytes;
            ++seen;
        }
        shown = text::quoted(std::string_view(name).substr(0, bytes));
    }
    return {ErrorKind::bundle,
            path + " would open " + shown + ", which its manifest does not name; export the bundle again"};
}

References references_of(const std::string& path) {
    try {
        return references(path);
    } catch (const OnnxFileError& error) {
        throw Error(ErrorKind::bundle,
                    path + " is not an ONNX graph: " + error.what() + "; export the bundle again");
    }
}

void check_file(const std::string& bundle, const std::string& name, const FileEntry& entry) {
    const std::string path = locate(bundle, name);
    bool same = false;
    try {
        const files::Mapped file(path);
        same = static_cast<std::int64_t>(file.content().size()) == entry.size &&
               files::sha256(file.content()) == entry.sha256;
    } catch (const std::system_error& error) {
        throw unreadable(path, error.code().value(), "export the bundle again");
    }
    if (!same) {
        throw Error(ErrorKind::bundle,
                    path + " is damaged: it does not match the manifest's sha256; export the bundle again");
    }
}

void check_graph(const std::string& bundle, const Graph& graph) {
    const std::string path = bundle + "/" + graph.files[0];
    const References found = references_of(path);
    const std::size_t slash = graph.files[0].rfind('/');
    const std::string beside = slash == std::string::npos ? "" : graph.files[0].substr(0, slash + 1);
    for (const std::string& data : found.data) {
        const bool named =
            std::find(graph.files.begin() + 1, graph.files.end(), beside + data) != graph.files.end();
        if (!named || data.empty()) throw unfit(path, data);
    }
    for (const std::string& plan : found.plans) throw unfit(path, plan);
}

void check_engine(const std::string& bundle, const Manifest& manifest, const Engine& engine) {
    if (engine.ep_context) {
        const std::string path = bundle + "/" + engine.wrap();
        References found = references_of(path);
        found.data.insert(found.plans.begin(), found.plans.end());
        for (const std::string& other : found.data) {
            if (other != engine.file.substr(engine.file.rfind('/') + 1)) throw unfit(path, other);
        }
    }
    for (const auto& [name, sha256] : engine.graph) {
        const FileEntry* entry = find(manifest.files, name);
        if (!entry || entry->sha256 != sha256) {
            throw Error(ErrorKind::bundle, bundle + "/" + engine.file + " was compiled from another " + name +
                                               "; compile the bundle again");
        }
    }
}

}  // namespace

std::string locate(const std::string& bundle, const std::string& name, const std::string& remedy) {
    const auto error = [](const std::string& message) { return Error(ErrorKind::bundle, message); };
    if (!text::is_utf8(bundle)) throw error(bundle + " has a name that is not UTF-8; give it another");
    const std::string path = bundle.empty() || bundle.back() == '/' ? bundle + name : bundle + "/" + name;
    struct stat status {};
    const auto absent = [] { return errno == ENOENT || errno == ENOTDIR || errno == ELOOP; };
    const bool found = ::stat(bundle.c_str(), &status) == 0;
    if (!found && !absent()) throw unreadable(path, errno, remedy);
    if (!found || !S_ISDIR(status.st_mode)) {
        throw error(bundle + " is not a directory; expected a bundle that w2vc-export wrote");
    }
    if (!within(path, bundle)) {
        throw error(path + " is a link that leaves the bundle; copy the file that it leads to in its place");
    }
    if (::stat(path.c_str(), &status) == 0) {
        if (S_ISREG(status.st_mode)) return path;
        throw error(path + " is not a file; " + remedy);
    }
    if (!absent()) throw unreadable(path, errno, remedy);
    throw error(bundle + " has no " + name + "; " + remedy);
}

const Graph& find_graph(const std::string& bundle, const Manifest& manifest, const std::string& precision) {
    if (precision.empty()) return manifest.graphs.front();
    std::vector<std::string> precisions;
    for (const Graph& graph : manifest.graphs) {
        if (graph.precision == precision) return graph;
        precisions.push_back(graph.precision);
    }
    throw Error(ErrorKind::argument,
                bundle + " has no graph in " + precision + "; it has: " + text::join(precisions, ", "));
}

void check_files(const std::string& bundle, const Manifest& manifest) {
    Named<FileEntry> all = manifest.files;
    for (const Engine& engine : manifest.engines) {
        for (const auto& [name, entry] : engine.files()) {
            if (!find(all, name)) all.emplace_back(name, entry);
        }
    }
    for (const auto& [name, entry] : all) check_file(bundle, name, entry);
    for (const Graph& graph : manifest.graphs) check_graph(bundle, graph);
    for (const Engine& engine : manifest.engines) check_engine(bundle, manifest, engine);
}

}  // namespace w2vc::bundle
