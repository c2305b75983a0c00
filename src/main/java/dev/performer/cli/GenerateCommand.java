package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.DataFile;
import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.TextGenerator;
import dev.performer.pipeline.TextGenerator.Generation;
import dev.performer.savedmodel.ModelCard;
import dev.performer.serving.ProteinLmSampling;
import dev.performer.serving.Sampler;
import dev.performer.serving.Sampling;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "generate",
    description = {
      "Continue prompts with a causal language model, one token at a time at constant cost; a SavedModel of any origin that has logits but no states reads the whole text for each.",
      "",
      "The same seed gives the same text, whatever the batch."
    },
    footer = {
      "",
      "Example:",
      "  ./performer generate MODEL --prompt MKT --tokens 50 --temperature 0.8 --seed 1"
    })
final class GenerateCommand extends PerformerCommand.OnModel {
  @Mixin private SharedOptions.Tensors inputs;

  @Option(
      names = "--objective",
      description = "causal-lm, for a model that does not show it (default: found by running it).")
  private ModelCard.Objective objective;

  @Option(
      names = "--model-shifts",
      description = "Logits at t are for token t, as in Google's FlaxLM (default: found so, too).")
  private boolean modelShifts;

  @Option(
      names = "--prompt",
      arity = "1..*",
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

  @Option(names = "--temperature", description = "Below 1 is safer, 0 greedy, above is wilder.")
  private double temperature = 1;

  @Option(names = "--top-k", description = "Only the K most likely tokens; 0 for all.")
  private int topK;

  @Option(names = "--top-p", description = "Only the likeliest tokens that sum to probability P.")
  private double topP = 1;

  @Option(names = "--repetition-penalty", description = "Above 1 makes repeated tokens rarer.")
  private double penalty = 1;

  @Option(names = "--repetition-window", description = "Tokens the penalty looks at; 0 for all.")
  private int window;

  @Option(names = "--seed", paramLabel = "N", description = "Of the random numbers.")
  private long seed;

  @Option(
      names = "--sampler",
      description =
          "Random numbers: performer, or protein-lm, which repeats the samples that Google's code draws for these prompts from PRNGKey(seed).")
  private String sampler = "performer";

  @Option(names = "--batch", paramLabel = "N", description = "Prompts that run at a time.")
  private int batch = 8;

  @Option(names = "--no-stream", description = "Print a text when it is whole.")
  private boolean noStream;

  @Option(names = "--output", paramLabel = "FILE", description = "Write the texts, one a line.")
  private Path target;

  private record Result(List<Generation> results, double seconds, double tokensPerSecond) {}

  @Override
  public Integer call() {
    GenerationOptions options = options();
    List<String> texts = texts();
    Boolean shifts = modelShifts ? true : null;
    var given = inputs.given().withObjective(objective).withShiftsInputs(shifts);
    try (TextGenerator generator = TextGenerator.load(Model.open(model, given))) {
      generator.notes().forEach(System.err::println);
      long start = System.nanoTime();
      var all = generator.generate(texts, options, printer(texts));
      double seconds = (System.nanoTime() - start) / 1e9;
      if (target != null) {
        var lines = new StringBuilder();
        all.forEach(one -> lines.append(one.text()).append('\n'));
        DataFile.write(target, out -> out.write(lines.toString().getBytes(StandardCharsets.UTF_8)));
      }
      long count = all.stream().mapToLong(one -> one.tokens().size()).sum();
      return done(new Result(all, seconds, count / seconds));
    }
  }

  /** Prints one text as it comes; several, which cannot share a terminal's line, when whole. */
  private TextGenerator.Listener printer(List<String> texts) {
    boolean streams = !noStream && !json && texts.size() == 1;
    return new TextGenerator.Listener() {
      private String before = texts.get(0);

      @Override
      public void text(int row, String piece) {
        if (streams) {
          System.out.print(before + piece);
          System.out.flush();
          before = "";
        }
      }

      @Override
      public void done(Generation generation) {
        print(streams ? "" : generation.text());
      }
    };
  }

  private GenerationOptions options() {
    boolean isSound = (tokens == null || tokens >= 1) && batch >= 1;
    String text = "--tokens and --batch must be at least 1, not %s and %d";
    requireUsage(isSound, text, tokens, batch);
    var options = GenerationOptions.DEFAULT.withSampler(sampling()).withBatch(batch);
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
    requireUsage(
        !greedy && topP == 1 && seed == (int) seed,
        "--sampler protein-lm has neither --greedy nor --top-p, and takes seeds of 32 bits");
    int last = window == 0 ? ProteinLmSampling.DEFAULT_WINDOW : window;
    return new ProteinLmSampling(
        temperature, topK, penalty, last, false, Threefry.Stream.LEGACY, (int) seed);
  }

  private List<String> texts() {
    requireUsage(
        prompts.isEmpty() == (file != null), "give either --prompt TEXT… or --prompts FILE");
    if (file == null) {
      return prompts;
    }
    try {
      List<String> read =
          Files.readAllLines(file).stream().map(String::strip).filter(l -> !l.isEmpty()).toList();
      PerformerException.require(!read.isEmpty(), "%s: holds no prompt; expected one a line", file);
      return read;
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read as text: " + e, e);
    }
  }
}
