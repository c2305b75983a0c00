package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.OutputFile;
import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.TextGenerator;
import dev.performer.serving.ProteinLmSampling;
import dev.performer.serving.Sampler;
import dev.performer.serving.Sampling;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
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
    },
    footer = {
      "",
      "Example:",
      "  ./performer generate MODEL --prompt MKT --tokens 50 --temperature 0.8 --seed 1"
    })
final class GenerateCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "A SavedModel of ours, or a run directory.")
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
              + GenerationOptions.DEFAULT_TOKENS
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
    GenerationOptions options = options();
    List<String> texts = texts();
    try (TextGenerator generator = TextGenerator.load(model)) {
      long start = System.nanoTime();
      // Several rows cannot share a terminal's line.
      boolean streams = !noStream && !output.json && texts.size() == 1;
      List<TextGenerator.Generation> all =
          generator.generate(
              texts,
              options,
              streams
                  ? new Printer(texts.get(0))
                  : new TextGenerator.Listener() {
                    @Override
                    public void done(TextGenerator.Generation generation) {
                      output.text().println(generation.text());
                    }
                  });
      report(all, (System.nanoTime() - start) / 1e9);
    }
    return 0;
  }

  /** Prints one text as it comes. */
  private static final class Printer implements TextGenerator.Listener {
    private String prompt;

    Printer(String prompt) {
      this.prompt = prompt;
    }

    @Override
    public void text(int row, String piece) {
      System.out.print(prompt + piece);
      System.out.flush();
      prompt = "";
    }

    @Override
    public void done(TextGenerator.Generation generation) {
      System.out.println();
    }
  }

  private GenerationOptions options() {
    if (tokens != null && tokens < 1 || batch < 1) {
      throw new UsageException(
          "--tokens and --batch must be at least 1, not " + tokens + " and " + batch);
    }
    GenerationOptions options = GenerationOptions.DEFAULT.withSampler(sampling()).withBatch(batch);
    return tokens == null ? options : options.withMaxTokens(tokens);
  }

  private Sampler sampling() {
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

  private void report(List<TextGenerator.Generation> all, double seconds) {
    List<Map<String, Object>> results = new ArrayList<>();
    StringBuilder lines = new StringBuilder();
    long count = 0;
    for (TextGenerator.Generation generation : all) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("prompt", generation.prompt());
      one.put("continuation", generation.continuation());
      one.put("tokens", generation.tokens());
      one.put("ended", generation.ended());
      results.add(one);
      lines.append(generation.text()).append('\n');
      count += generation.tokens().size();
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
