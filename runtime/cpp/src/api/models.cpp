// The C interface to models and decoders.
#include <algorithm>

#include "api/guard.hpp"
#include "api/handles.hpp"
#include "api/language_model.hpp"
#include "decoding/beam.hpp"
#include "results/answer.hpp"
#include "support/version.hpp"

namespace {

using namespace w2vc;

constexpr const char* kModel = "what w2vc_model_load gave";

std::string text_or(const char* text, const char* otherwise) {
    return text ? text : otherwise;
}

w2vc_head head_of(const w2vc_model& model) {
    return static_cast<w2vc_head>(results::head_of(model.model.manifest()));
}

const std::vector<std::string>* labels_of(const w2vc_model& model) {
    const auto& manifest = model.model.manifest();
    if (manifest.ctc) return &manifest.ctc->vocabulary;
    return manifest.labels ? &manifest.labels->names : nullptr;
}

// A value of the caller, else what is stored with the language model, else the default that is there.
void choose(double theirs, const std::optional<double>& stored, double& ours) {
    if (theirs != W2VC_AS_STORED) {
        ours = theirs;
    } else if (stored) {
        ours = *stored;
    }
}

decoding::BeamOptions beam_options(const w2vc_beam_options& theirs, const StoredModel& stored) {
    decoding::BeamOptions ours;
    choose(theirs.alpha, stored.alpha, ours.alpha);
    choose(theirs.beta, stored.beta, ours.beta);
    choose(theirs.unk_score_offset, stored.unk_score_offset, ours.unk_score_offset);
    ours.score_boundary = stored.score_boundary.value_or(ours.score_boundary);
    ours.unigrams = stored.unigrams;
    ours.beam_width = theirs.beam_width;
    ours.beam_prune_logp = theirs.beam_prune_logp;
    ours.token_min_logp = theirs.token_min_logp;
    ours.nbest = theirs.nbest;
    if (theirs.hotword_count) api::given(theirs.hotwords, "hotwords", "hotword_count of them");
    for (std::size_t index = 0; index < theirs.hotword_count; ++index) {
        const w2vc_hotword& each = theirs.hotwords[index];
        ours.hotwords.push_back({api::given(each.text, "the text of a hotword", "a word"), each.weight});
    }
    return ours;
}

}  // namespace

const char* w2vc_version(void) {
    return version();
}

w2vc_status w2vc_model_load(const char* bundle, const w2vc_options* options, w2vc_model** model,
                            w2vc_error* error) {
    if (model) *model = nullptr;
    return api::guarded(error, W2VC_ERROR_BUNDLE, [&] {
        api::given(model, "model", "where to put the handle");
        std::string path = api::given(bundle, "bundle", "the path of a bundle that w2vc-export wrote");
        while (path.size() > 1 && path.back() == '/') path.pop_back();
        const w2vc_options taken = api::read<w2vc_options>(options, W2VC_OPTIONS_INIT, "options");
        if (taken.threads < 0) {
            throw Error(ErrorKind::argument,
                        "threads is " + std::to_string(taken.threads) +
                            "; expected a number of threads, or 0 for as many as there are cores");
        }
        const sessions::OpenOptions open = {text_or(taken.provider, "auto"), text_or(taken.onnxruntime, ""),
                                            taken.threads};
        auto made = std::unique_ptr<w2vc_model>(new w2vc_model{
            Model(path, text_or(taken.precision, ""), open)});  // make_unique wants a constructor
        *model = made.release();
    });
}

void w2vc_model_free(w2vc_model* model) {
    const std::unique_ptr<w2vc_model> freed(model);
}

w2vc_head w2vc_model_head(const w2vc_model* model) {
    return model ? head_of(*model) : W2VC_HEAD_BASE;
}

const char* w2vc_model_name(const w2vc_model* model) {
    return model ? model->model.manifest().name.c_str() : "";
}

const char* w2vc_model_provider(const w2vc_model* model) {
    return model ? model->model.provider().c_str() : "";
}

uint32_t w2vc_model_sample_rate(const w2vc_model* model) {
    return model ? static_cast<uint32_t>(features::sampling_rate(model->model.manifest().features)) : 0;
}

size_t w2vc_model_shortest(const w2vc_model* model) {
    return model ? static_cast<size_t>(model->model.manifest().shortest) : 0;
}

size_t w2vc_model_label_count(const w2vc_model* model) {
    const auto* labels = model ? labels_of(*model) : nullptr;
    return labels ? labels->size() : 0;
}

const char* w2vc_model_label(const w2vc_model* model, size_t index) {
    const auto* labels = model ? labels_of(*model) : nullptr;
    return labels && index < labels->size() ? (*labels)[index].c_str() : nullptr;
}

w2vc_status w2vc_decoder_beam(const w2vc_model* model, const w2vc_beam_options* options,
                              w2vc_decoder** decoder, w2vc_error* error) {
    if (decoder) *decoder = nullptr;
    return api::guarded(error, W2VC_ERROR_ARGUMENT, [&] {
        api::given(decoder, "decoder", "where to put the handle");
        const Model& own = api::given(model, "model", kModel)->model;
        const auto& manifest = own.manifest();
        if (!manifest.ctc) {
            throw Error(ErrorKind::argument,
                        "decoders are for head 'ctc'; this bundle has head '" + manifest.head + "'");
        }
        const auto taken = api::read<w2vc_beam_options>(options, W2VC_BEAM_OPTIONS_INIT, "options");
        const std::string path = taken.language_model ? taken.language_model : own.language_model();
        StoredModel stored;
        decoding::Vocabulary vocabulary = results::vocabulary_of(manifest);
        if (!path.empty()) {
            stored = open_language_model(path);
            vocabulary = spelled_for(std::move(vocabulary), stored);
        }
        auto made = std::make_unique<w2vc_decoder>();
        made->decoder =
            std::make_unique<decoding::BeamDecoder>(vocabulary, stored.model, beam_options(taken, stored));
        *decoder = made.release();
    });
}

void w2vc_decoder_free(w2vc_decoder* decoder) {
    const std::unique_ptr<w2vc_decoder> freed(decoder);
}
