// llama.cpp itself, without a binding between: does the work that round.ts names and prints one line of JSON. Linked with the
// libraries that node-llama-cpp brings; greedy choice, F16 keys and values, batches of 512, all else by default.
//
//     direct MODEL THREADS CONTEXT BACKENDS NAME:prefill:TOKENS NAME:decode:BATCH:CONTEXT:TOKENS ...
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

static double nowMs() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static long peakBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

[[noreturn]] static void fail(const char *what) {
  fprintf(stderr, "direct: %s\n", what);
  exit(1);
}

struct Context {
  llama_context *context;
  llama_batch batch;
  int vocabulary;

  Context(llama_model *model, int positions, int sequences, int threads) {
    auto params = llama_context_default_params();
    params.n_ctx = positions * sequences;
    params.n_batch = params.n_ubatch = 512;
    params.n_seq_max = sequences;
    params.n_threads = params.n_threads_batch = threads;
    context = llama_init_from_model(model, params);
    if (!context) fail("no context");
    batch = llama_batch_init(512, 0, sequences);
    vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  }

  ~Context() {
    llama_batch_free(batch);
    llama_free(context);
  }

  void add(int token, int position, int sequence, bool logits) {
    int i = batch.n_tokens++;
    batch.token[i] = token;
    batch.pos[i] = position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = logits;
  }

  void run() {
    if (llama_decode(context, batch) != 0) fail("a step failed");
  }

  // The likeliest token of row i of the last step.
  int choose(int i) {
    const float *logits = llama_get_logits_ith(context, i);
    int best = 0;
    for (int id = 1; id < vocabulary; id++)
      if (logits[id] > logits[best]) best = id;
    return best;
  }

  // Reads a prompt as `promptSource` of cli/measure.ts makes them; the token that follows.
  int read(int sequence, int tokens, int salt) {
    int last = 0;
    for (int at = 0; at < tokens; at += 512) {
      batch.n_tokens = 0;
      for (int i = at; i < tokens && i < at + 512; i++)
        add(3 + (i * 79 + salt * 37 + (i >> 3)) % 251, i, sequence, i == tokens - 1);
      run();
      last = batch.n_tokens - 1;
    }
    return choose(last);
  }

  void generate(std::vector<int> &tokens, int position, int count) {
    for (int step = 0; step < count; step++) {
      batch.n_tokens = 0;
      for (size_t s = 0; s < tokens.size(); s++) add(tokens[s], position + step, s, true);
      run();
      for (size_t s = 0; s < tokens.size(); s++) tokens[s] = choose(s);
    }
  }
};

int main(int count, char **words) {
  if (count < 5) fail("expected MODEL THREADS CONTEXT BACKENDS WORK ...");
  int threads = atoi(words[2]), positions = atoi(words[3]), salt = 0;
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  ggml_backend_load_all_from_path(words[4]);
  llama_backend_init();
  long empty = peakBytes();
  double begin = nowMs();
  llama_model *model = llama_model_load_from_file(words[1], llama_model_default_params());
  if (!model) fail("no model");
  double loaded = 0, first = 0;
  long loadedBytes = 0;
  {
    Context one(model, positions, 1, threads);
    loaded = nowMs();
    loadedBytes = peakBytes();
    std::vector<int> token{one.read(0, 8, salt++)};
    first = nowMs();
    one.generate(token, 8, 4);
  }
  std::string rates;
  for (int i = 5; i < count; i++) {
    std::vector<std::string> fields;
    std::stringstream work(words[i]);
    for (std::string field; std::getline(work, field, ':');) fields.push_back(field);
    bool isPrefill = fields.size() == 3 && fields[1] == "prefill";
    if (!isPrefill && !(fields.size() == 5 && fields[1] == "decode")) fail("expected NAME:prefill:N or NAME:decode:B:C:N");
    int sequences = isPrefill ? 1 : atoi(fields[2].c_str());
    Context context(model, positions, sequences, threads);
    // A new context's first step is slower: it is no part of the figure.
    context.read(0, 8, salt++);
    llama_memory_clear(llama_get_memory(context.context), true);
    double from = nowMs(), tokens = 0;
    if (isPrefill) {
      tokens = atoi(fields[2].c_str());
      context.read(0, tokens, salt++);
    } else {
      int prompt = atoi(fields[3].c_str()), steps = atoi(fields[4].c_str());
      std::vector<int> chosen;
      for (int s = 0; s < sequences; s++) chosen.push_back(context.read(s, prompt, salt++));
      from = nowMs();
      context.generate(chosen, prompt, steps);
      tokens = 1.0 * sequences * steps;
    }
    rates += (rates.empty() ? "" : ",") + ("\"" + fields[0] + "\":") + std::to_string(tokens / (nowMs() - from) * 1000);
  }
  printf("{\"loadMs\":%f,\"firstTokenMs\":%f,\"rates\":{%s},\"emptyBytes\":%ld,\"loadedBytes\":%ld,\"peakBytes\":%ld}\n",
         loaded - begin, first - begin, rates.c_str(), empty, loadedBytes, peakBytes());
}
