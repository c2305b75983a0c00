package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.OutputFile;
import dev.performer.data.ResidueEncoder;
import dev.performer.data.TextEncoder;
import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.serving.GenerationSession;
import dev.performer.serving.ProteinLmSampling;
import dev.performer.serving.Sampler;
import dev.performer.serving.Sampling;
import dev.performer.training.ModelCards;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code generate}: continue prompts with a causal language model. */
@Command(
    name = "generate",
    description = {
      "Continue prompts with a causal language model, one token at a time at constant cost.",
      "",
      "The same seed gives the same text, whatever the batch."
    })
final class GenerateCommand implements Callable<Integer> {
  private static final int DEFAULT_TOKENS = 128;

  @Mixin private OutputOptions output;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel directory of ours.")
  private Path model;

  @Option(
      names = "--prompt",
      arity = "1..*",
      paramLabel = "TEXT",
      description = "What to continue; '' begins anew where the model has a begin token.")
  private List<String> prompts = List.of();

  @Option(names = "--prompts", paramLabel = "FILE", description = "Prompts, one a line.")
  private Path file;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description =
          "At most so many new tokens (default: "
              + DEFAULT_TOKENS
              + ", or what the model's positions leave).")
  private Integer tokens;

  @Option(names = "--greedy", description = "The most likely token each time.")
  private boolean greedy;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "1",
      description = "Below 1 is safer, 0 greedy, above is wilder (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "Only the K most likely tokens; 0 for all (default: ${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description =
          "Only the likeliest tokens that sum to probability P (default: ${DEFAULT-VALUE}).")
  private double topP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "Above 1 makes repeated tokens less likely (default: ${DEFAULT-VALUE}).")
  private double penalty;

  @Option(
      names = "--repetition-window",
      paramLabel = "N",
      defaultValue = "0",
      description = "Last tokens the penalty looks at; 0 for all (default: ${DEFAULT-VALUE}).")
  private int window;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Of the random numbers (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--sampler",
      paramLabel = "NAME",
      defaultValue = "performer",
      description = {
        "Random numbers: performer, or protein-lm, which repeats the samples that Google's code draws",
        "for these prompts from PRNGKey(seed) (default: ${DEFAULT-VALUE})."
      })
  private String sampler;

  @Option(
      names = "--batch",
      paramLabel = "N",
      defaultValue = "8",
      description = "Prompts that run at a time (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(names = "--no-stream", description = "Print a text when it is whole.")
  private boolean noStream;

  @Option(names = "--output", paramLabel = "FILE", description = "Write the texts, one a line.")
  private Path target;

  @Override
  public Integer call() {
    Sampler sampling = sampling();
    List<String> texts = texts();
    try (GenerationSession session = GenerationSession.open(model)) {
      Tokenizer tokenizer = tokenizer();
      List<int[]> ids = texts.stream().map(text -> encode(tokenizer, text)).toList();
      long start = System.nanoTime();
      List<GenerationSession.Continuation> all = generate(session, tokenizer, texts, ids, sampling);
      report(texts, ids, tokenizer, all, (System.nanoTime() - start) / 1e9);
    }
    return 0;
  }

  private Sampler sampling() {
    if (tokens != null && tokens < 1 || batch < 1) {
      throw new UsageException(
          "--tokens and --batch must be at least 1, not " + tokens + " and " + batch);
    }
    try {
      return switch (sampler) {
        case "performer" -> new Sampling(greedy, temperature, topK, topP, penalty, window, seed);
        case "protein-lm" -> proteinLm();
        default ->
            throw new UsageException(
                "--sampler must be performer or protein-lm, not '" + sampler + "'");
      };
    } catch (PerformerException e) {
      throw e instanceof UsageException ? e : new UsageException("--" + e.getMessage());
    }
  }

  private Sampler proteinLm() {
    if (greedy || topP != 1 || seed != (int) seed) {
      throw new UsageException(
          "--sampler protein-lm has neither --greedy nor --top-p, and takes seeds of 32 bits");
    }
    batch = Integer.MAX_VALUE; // a row's numbers depend on how many rows there are
    return new ProteinLmSampling(
        temperature,
        topK,
        penalty,
        window == 0 ? ProteinLmSampling.DEFAULT_WINDOW : window,
        false,
        Threefry.Stream.LEGACY,
        (int) seed);
  }

  private List<String> texts() {
    if (prompts.isEmpty() == (file == null)) {
      throw new UsageException("give either --prompt TEXT… or --prompts FILE");
    }
    if (file == null) {
      return prompts;
    }
    try (Stream<String> lines = Files.lines(file)) {
      List<String> read = lines.map(String::strip).filter(line -> !line.isEmpty()).toList();
      if (read.isEmpty()) {
        throw new PerformerException(file + ": holds no prompt; expected one a line");
      }
      return read;
    } catch (IOException | UncheckedIOException e) {
      throw new PerformerException(file + ": cannot be read as text: " + e, e);
    }
  }

  private Tokenizer tokenizer() {
    return ModelCard.read(model)
        .map(ModelCard::vocabulary)
        .map(ModelCards::tokenizer)
        .orElseThrow(
            () ->
                new PerformerException(
                    model + ": does not say what its token ids mean (no vocabulary in its card)"));
  }

  /** The begin token of the tokenizer stands before a prompt; its end token never behind it. */
  private static int[] encode(Tokenizer tokenizer, String text) {
    TextEncoder any = tokenizer.encoder();
    int[] ids = any.encode(text);
    if (!(any instanceof ResidueEncoder encoder)) {
      return IntStream.concat(Arrays.stream(tokenizer.prefix()), Arrays.stream(ids)).toArray();
    }
    Vocabulary vocabulary = tokenizer.vocabulary();
    if (!encoder.unknown().isEmpty() || !encoder.dropped().isEmpty()) {
      Set<Character> letters = new LinkedHashSet<>(encoder.unknown().keySet());
      letters.addAll(encoder.dropped().keySet());
      throw new PerformerException(
          "the prompt '%s' has letters that the model's vocabulary lacks: %s; it has %s"
              .formatted(
                  text, letters, String.join("", vocabulary.decode(vocabulary.ordinaryIds()))));
    }
    return ids;
  }

  private int newTokens(GenerationSession session, List<int[]> ids) {
    if (tokens != null) {
      return tokens;
    }
    int longest = ids.stream().mapToInt(prompt -> prompt.length).max().orElse(0);
    return Math.max(1, Math.min(DEFAULT_TOKENS, session.room(longest)));
  }

  private List<GenerationSession.Continuation> generate(
      GenerationSession session,
      Tokenizer tokenizer,
      List<String> texts,
      List<int[]> ids,
      Sampler sampling) {
    Vocabulary vocabulary = tokenizer.vocabulary();
    Set<Integer> forbidden = new LinkedHashSet<>();
    for (int id = 0; id < session.config().vocabularySize(); id++) {
      boolean isEnd = vocabulary.eos().isPresent() && vocabulary.eos().getAsInt() == id;
      if (id >= vocabulary.size() || vocabulary.isSpecial(id) && !isEnd) {
        forbidden.add(id);
      }
    }
    int count = newTokens(session, ids);
    session.check(ids, count); // before anything is printed
    // Several rows cannot share a terminal's line.
    boolean streams = !noStream && !output.json && texts.size() == 1;
    if (streams) {
      System.out.print(texts.get(0));
    }
    TextStream stream = new TextStream(tokenizer, ids.get(0));
    List<GenerationSession.Continuation> all = new ArrayList<>();
    int size = Math.min(batch, ids.size());
    for (int first = 0; first < ids.size(); first += size) {
      List<int[]> part = ids.subList(first, Math.min(ids.size(), first + size));
      List<GenerationSession.Continuation> done =
          session.generate(
              part,
              first,
              count,
              sampling,
              vocabulary.eos(),
              forbidden,
              (row, token) -> {
                if (streams) {
                  System.out.print(stream.add(token));
                  System.out.flush();
                }
              });
      all.addAll(done);
      for (int r = 0; r < part.size() && !streams; r++) {
        output.text().println(texts.get(first + r) + text(tokenizer, part.get(r), done.get(r)));
      }
    }
    if (streams) {
      System.out.println(stream.rest());
    }
    return all;
  }

  private static String text(
      Tokenizer tokenizer, int[] prompt, GenerationSession.Continuation continuation) {
    TextStream stream = new TextStream(tokenizer, prompt);
    StringBuilder text = new StringBuilder();
    continuation.tokens().forEach(token -> text.append(stream.add(token)));
    return text.append(stream.rest()).toString();
  }

  private void report(
      List<String> texts,
      List<int[]> ids,
      Tokenizer tokenizer,
      List<GenerationSession.Continuation> all,
      double seconds) {
    List<Map<String, Object>> results = new ArrayList<>();
    StringBuilder lines = new StringBuilder();
    long count = 0;
    for (int i = 0; i < all.size(); i++) {
      String continuation = text(tokenizer, ids.get(i), all.get(i));
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("prompt", texts.get(i));
      one.put("continuation", continuation);
      one.put("tokens", all.get(i).tokens());
      one.put("ended", all.get(i).ended());
      results.add(one);
      lines.append(texts.get(i)).append(continuation).append('\n');
      count += all.get(i).tokens().size();
    }
    if (target != null) {
      byte[] bytes = lines.toString().getBytes(StandardCharsets.UTF_8);
      OutputFile.write(target, out -> out.write(bytes));
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("results", results);
    json.put("seconds", seconds);
    json.put("tokensPerSecond", count / seconds);
    output.printJson(json);
  }
}
