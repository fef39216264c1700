/*
 * w2vc: runs speech models that w2vc-export wrote. Samples in, answers out.
 *
 * Rules that hold for every function, unless it says otherwise:
 * - Functions that can fail return W2VC_OK or what went wrong, and then fill the caller's w2vc_error (which
 * may be NULL) with one line that says what would be right. Outputs are then NULL, or as they were. No C++
 * exception leaves.
 * - Handles are made by the library and freed by its function of that name, which takes NULL too. A result
 * does not need its model. Text and values that a function shows belong to the handle that they came from,
 * and live as long.
 * - Text is UTF-8. Times are in seconds. Arrays are row-major. Options may be NULL: all as by default.
 * - A const handle may be used by any number of threads at once. Nothing is global but ONNX Runtime itself,
 * which stays loaded until the process ends, and the environment variable ORT_DISABLE_TELEMETRY, which the
 * first load sets to 1 where it is unset.
 */
#ifndef W2VC_H
#define W2VC_H

#include <stddef.h>
#include <stdint.h>

#if defined(W2VC_STATIC)
#define W2VC_API
#elif defined(__GNUC__)
#define W2VC_API __attribute__((visibility("default")))
#else
#define W2VC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum w2vc_status {
    W2VC_OK = 0,
    W2VC_ERROR_ARGUMENT = 1,  /* an argument has no such value */
    W2VC_ERROR_AUDIO = 2,     /* a clip is empty, too short, too long for the memory here, or not finite */
    W2VC_ERROR_BUNDLE = 3,    /* a bundle or a language model is missing, damaged or not understood */
    W2VC_ERROR_RUNTIME = 4,   /* ONNX Runtime is missing, too old or another library */
    W2VC_ERROR_INFERENCE = 5, /* a backend failed while it computed, or gave what is not finite */
    W2VC_ERROR_MEMORY = 6,    /* there is not enough memory */
    W2VC_ERROR_INTERNAL = 7   /* a mistake of this library */
} w2vc_status;

/* What a call failed with. message: one line, ended by a zero, cut where it is longer. */
typedef struct w2vc_error {
    w2vc_status status;
    char message[508];
} w2vc_error;

/* The version of the library, such as "0.1.0"; static. */
W2VC_API const char* w2vc_version(void);

/* ---- Models ---- */

typedef struct w2vc_model w2vc_model;

/* How to load a model. Begin with W2VC_OPTIONS_INIT; what is NULL or 0 is as by default. */
typedef struct w2vc_options {
    size_t size;             /* of this struct */
    const char* provider;    /* auto (default), cpu, cuda, tensorrt, tensorrt-rtx; see docs/providers.md */
    const char* precision;   /* of the graph, such as fp16; default: the bundle's first */
    const char* onnxruntime; /* path of its library, 1.21 or newer; default: the variable W2VC_ONNXRUNTIME,
                                else libonnxruntime.so.1 where the loader looks */
    int threads;             /* that one run computes on; default: as many as there are cores */
} w2vc_options;

#define W2VC_OPTIONS_INIT \
    { sizeof(w2vc_options), 0, 0, 0, 0 }

typedef enum w2vc_head {
    W2VC_HEAD_BASE = 0,                    /* hidden states */
    W2VC_HEAD_CTC = 1,                     /* a transcript */
    W2VC_HEAD_SEQUENCE_CLASSIFICATION = 2, /* classes of the clip */
    W2VC_HEAD_FRAME_CLASSIFICATION = 3,    /* classes over time */
    W2VC_HEAD_XVECTOR = 4,                 /* the voice as a vector */
    W2VC_HEAD_PRETRAINING = 5              /* predictions of wav2vec 2.0 */
} w2vc_head;

/* Loads a bundle, a directory, after checking every file against its manifest. Fails with ARGUMENT (no such
 * provider or precision here), BUNDLE or RUNTIME. Threads may load at once. */
W2VC_API w2vc_status w2vc_model_load(const char* bundle, const w2vc_options* options, w2vc_model** model,
                                     w2vc_error* error);

/* Lets go of a model and its memory. No call on it may be under way, and no decoder or stream of
 * it is used after. */
W2VC_API void w2vc_model_free(w2vc_model* model);

W2VC_API w2vc_head w2vc_model_head(const w2vc_model* model);
W2VC_API const char* w2vc_model_name(const w2vc_model* model);
/* What runs the graph, such as "cpu". */
W2VC_API const char* w2vc_model_provider(const w2vc_model* model);
/* Hz of the samples that the model takes. */
W2VC_API uint32_t w2vc_model_sample_rate(const w2vc_model* model);
/* The fewest samples that have an answer. */
W2VC_API size_t w2vc_model_shortest(const w2vc_model* model);
/* The tokens of a CTC model's logits, or the classes of a classifier; none of other heads. */
W2VC_API size_t w2vc_model_label_count(const w2vc_model* model);
/* NULL past the last one. */
W2VC_API const char* w2vc_model_label(const w2vc_model* model, size_t index);

/* ---- Decoders: how a CTC model's logits become text ---- */

typedef struct w2vc_decoder w2vc_decoder;

/* A word that is to be heard; weight: what a hypothesis gains for each, 10 in pyctcdecode. */
typedef struct w2vc_hotword {
    const char* text;
    double weight;
} w2vc_hotword;

/* Of a number: as stored with the language model, else that of pyctcdecode: alpha 0.5, beta 1.5, unk -10. */
#define W2VC_AS_STORED (-1e300)

/* Beam search with the meaning and the defaults of pyctcdecode: begin with W2VC_BEAM_OPTIONS_INIT. Scores are
 * natural logarithms but for unk_score_offset, which is of base 10. */
typedef struct w2vc_beam_options {
    size_t size;                  /* of this struct */
    const char* language_model;   /* path: ARPA, plain or gzip, compiled, or a directory of Hugging Face's
                                     Wav2Vec2ProcessorWithLM; NULL: the bundle's, if any; "": none */
    double alpha;                 /* weight of the language model */
    double beta;                  /* gain for each word */
    size_t beam_width;            /* hypotheses kept after a frame, at least 1 */
    double beam_prune_logp;       /* those that are further below the best are dropped */
    double token_min_logp;        /* tokens below are not tried, except the best of a frame */
    double unk_score_offset;      /* for a word that the language model does not have */
    size_t nbest;                 /* readings to return, at least 1 */
    const w2vc_hotword* hotwords; /* hotword_count of them */
    size_t hotword_count;
} w2vc_beam_options;

#define W2VC_BEAM_OPTIONS_INIT \
    { sizeof(w2vc_beam_options), 0, W2VC_AS_STORED, W2VC_AS_STORED, 100, -10, -5, W2VC_AS_STORED, 1, 0, 0 }

/* Makes a beam search for a CTC model. Fails with ARGUMENT, or BUNDLE for a language model that cannot be
 * used. */
W2VC_API w2vc_status w2vc_decoder_beam(const w2vc_model* model, const w2vc_beam_options* options,
                                       w2vc_decoder** decoder, w2vc_error* error);
W2VC_API void w2vc_decoder_free(w2vc_decoder* decoder);

/* ---- Answers ---- */

typedef struct w2vc_result w2vc_result;

/* Mono samples of a clip at the model's rate, -1 to 1, only read. time_mask: for head pretraining, one byte a
 * frame, of which the encoder must guess those that are not 0; NULL for none. */
typedef struct w2vc_clip {
    const float* samples;
    size_t count;
    const uint8_t* time_mask;
    size_t time_mask_count;
} w2vc_clip;

/* Answers for one clip. decoder: of a CTC model; NULL for greedy. Fails with ARGUMENT, AUDIO, INFERENCE or
 * MEMORY. The caller frees the result. */
W2VC_API w2vc_status w2vc_run(const w2vc_model* model, const w2vc_decoder* decoder, const float* samples,
                              size_t count, w2vc_result** result, w2vc_error* error);

/* Answers for clips of any lengths, in their order; clips of like length are computed together, at most
 * batch_size of them (0: 8), padded as the bundle's contract says. results: count of them, which the caller
 * frees. A clip that has no answer has NULL there and its error in errors (count of them, or NULL), and the
 * others have theirs; the call then is W2VC_OK. Fails as w2vc_run where there is nothing for any. */
W2VC_API w2vc_status w2vc_run_batch(const w2vc_model* model, const w2vc_decoder* decoder,
                                    const w2vc_clip* clips, size_t count, size_t batch_size,
                                    w2vc_result** results, w2vc_error* errors, w2vc_error* error);

/* Reads logits [frames, tokens] of a CTC model that were computed elsewhere; they are only read. Fails with
 * ARGUMENT or INFERENCE. The caller frees the result. */
W2VC_API w2vc_status w2vc_decode(const w2vc_model* model, const w2vc_decoder* decoder, const float* logits,
                                 size_t frames, size_t tokens, w2vc_result** result, w2vc_error* error);

/* Finds where a known text is said in a clip: one reading, whose words and tokens are those of the text.
 * text: words between spaces; "*" stands for any speech, "[word]" may be left out (docs/decoding.md). Fails
 * as w2vc_run, and with ARGUMENT on text that the tokens cannot spell, or that needs more frames. The caller
 * frees the result. */
W2VC_API w2vc_status w2vc_align(const w2vc_model* model, const float* samples, size_t count, const char* text,
                                w2vc_result** result, w2vc_error* error);

/* ---- Audio of any length: heard chunk by chunk, in the memory of one ---- */

/* How audio is cut. Begin with W2VC_CHUNK_OPTIONS_INIT. */
typedef struct w2vc_chunk_options {
    size_t size;            /* of this struct */
    double chunk_seconds;   /* that the model hears at once; 0: 20, or what fits memory and engine */
    double context_seconds; /* of it on each side, answered for by the neighbours; below 0: a sixth */
    int pooled; /* not 0: one answer, of the mean; for heads base, sequence-classification, xvector */
} w2vc_chunk_options;

#define W2VC_CHUNK_OPTIONS_INIT \
    { sizeof(w2vc_chunk_options), 0, -1, 0 }

/* As w2vc_run, for audio of any length. Head ctc cuts where it is quiet, goes on decoding across cuts and
 * keeps no logits; frame-classification joins its scores; the others have a window for each chunk, or one
 * answer where options ask for it. */
W2VC_API w2vc_status w2vc_run_chunked(const w2vc_model* model, const w2vc_decoder* decoder,
                                      const w2vc_chunk_options* options, const float* samples, size_t count,
                                      w2vc_result** result, w2vc_error* error);

/* The same for audio that comes in. For one thread at a time; a model has any number of streams. */
typedef struct w2vc_stream w2vc_stream;

W2VC_API w2vc_status w2vc_stream_open(const w2vc_model* model, const w2vc_decoder* decoder,
                                      const w2vc_chunk_options* options, w2vc_stream** stream,
                                      w2vc_error* error);
W2VC_API void w2vc_stream_free(w2vc_stream* stream);

/* Takes the next samples, any number, and computes the chunks that they complete. Fails with AUDIO on samples
 * that are no sound, which are not taken; after INFERENCE or MEMORY the stream can only be freed. */
W2VC_API w2vc_status w2vc_stream_push(w2vc_stream* stream, const float* samples, size_t count,
                                      w2vc_error* error);

/* The answer for the chunks so far, whose last words may still change; NULL before the first. The caller
 * frees it. */
W2VC_API w2vc_status w2vc_stream_read(w2vc_stream* stream, w2vc_result** result, w2vc_error* error);

/* Computes what is left and answers for all; the stream then takes nothing more. Fails as w2vc_run. The
 * caller frees the result. */
W2VC_API w2vc_status w2vc_stream_end(w2vc_stream* stream, w2vc_result** result, w2vc_error* error);

W2VC_API void w2vc_result_free(w2vc_result* result);

W2VC_API w2vc_head w2vc_result_head(const w2vc_result* result);
/* Seconds of audio. */
W2VC_API double w2vc_result_duration(const w2vc_result* result);
/* From one frame to the next; 0 where there are none. */
W2VC_API double w2vc_result_frame_seconds(const w2vc_result* result);
/* The text of the best reading; empty of other heads than CTC. */
W2VC_API const char* w2vc_result_text(const w2vc_result* result);

/* The result as one JSON object, as `w2vc run` and `w2vc align` print it with --format json, made when it is
 * first asked for. Fails with MEMORY. */
W2VC_API w2vc_status w2vc_result_json(const w2vc_result* result, const char** json, w2vc_error* error);

/* The functions below fail with ARGUMENT where there is no such part, and leave the output as it was. */

/* A reading of a clip: one with greedy decoding, up to nbest with beam search, best first. score: what they
 * are ordered by; acoustic_score: of the logits alone; language_score: what language model and hotwords
 * added. */
typedef struct w2vc_reading {
    const char* text;
    double score, acoustic_score, language_score;
} w2vc_reading;

W2VC_API size_t w2vc_result_reading_count(const w2vc_result* result);
W2VC_API w2vc_status w2vc_result_reading(const w2vc_result* result, size_t index, w2vc_reading* reading);

/* A stretch of time: a word or a token of a reading, confidence 0 to 1; or where a class of head
 * frame-classification holds, with its mean probability. */
typedef struct w2vc_span {
    const char* text;
    double start, end, confidence;
} w2vc_span;

typedef enum w2vc_span_kind { W2VC_WORDS = 0, W2VC_TOKENS = 1, W2VC_SEGMENTS = 2 } w2vc_span_kind;

/* reading: 0 is the best; of segments it must be 0. */
W2VC_API size_t w2vc_result_span_count(const w2vc_result* result, w2vc_span_kind kind, size_t reading);
W2VC_API w2vc_status w2vc_result_span(const w2vc_result* result, w2vc_span_kind kind, size_t reading,
                                      size_t index, w2vc_span* span);

/* A class of head sequence-classification, likeliest first: a probability, or the value of a regression (in
 * the order of the model). holds: whether the clip is of it. */
typedef struct w2vc_score {
    const char* label;
    double score;
    int holds;
} w2vc_score;

W2VC_API size_t w2vc_result_score_count(const w2vc_result* result);
W2VC_API w2vc_status w2vc_result_score(const w2vc_result* result, size_t index, w2vc_score* score);

/* What the graph gave, by its names: logits, last_hidden_state, hidden_states_N, embeddings,
 * projected_states, projected_quantized_states, codevector_perplexity; of head frame-classification
 * probabilities, named scores. A vector is one row. */
typedef struct w2vc_array {
    const char* name;
    const float* values;
    size_t rows, columns;
} w2vc_array;

/* Of audio in chunks, what was answered for a part of it; its times count from start, in seconds. result
 * belongs to the whole. */
typedef struct w2vc_window {
    double start, end;
    const w2vc_result* result;
} w2vc_window;

W2VC_API size_t w2vc_result_window_count(const w2vc_result* result);
W2VC_API w2vc_status w2vc_result_window(const w2vc_result* result, size_t index, w2vc_window* window);

W2VC_API size_t w2vc_result_array_count(const w2vc_result* result);
W2VC_API w2vc_status w2vc_result_array(const w2vc_result* result, size_t index, w2vc_array* array);
W2VC_API w2vc_status w2vc_result_find_array(const w2vc_result* result, const char* name, w2vc_array* array);

#ifdef __cplusplus
}
#endif

#endif /* W2VC_H */
