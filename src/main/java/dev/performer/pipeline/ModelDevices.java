package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.DeviceCheck;
import dev.performer.graph.LossGradients;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SampleInputs;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SignatureCheck;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.training.Feed;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LabelledBatch;
import dev.performer.training.LanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.StepCheck;
import dev.performer.training.Trainable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * What devices have for a model: for each signature, for the step that fine-tunes it, and for the
 * step that trains such a model from scratch if it was built here.
 *
 * @param rows of the inputs for which XLA compiled, as {@code length} is their tokens
 * @param checks what was looked at, signatures first
 * @param notes what could not be looked at, one line each
 */
public record ModelDevices(
    Path model, int rows, int length, List<DeviceCheck> checks, List<String> notes) {

  /**
   * How a model is looked at.
   *
   * @param rows of inputs whose number of rows is open
   * @param length of inputs whose other sizes are open; shorter where the model takes less
   * @param compiles whether XLA compiles signatures and steps, with these sizes
   * @param loop how the steps train: optimizer, precision and whatever else changes their graph
   */
  public record Options(int rows, int length, boolean compiles, LoopOptions loop) {
    /** One row of 16 tokens, compiled, with the defaults of training. */
    public static final Options DEFAULT = new Options(1, 16, true, LoopOptions.DEFAULT);

    public Options {
      boolean isSound = rows > 0 && length > 1;
      require(isSound, "sizes are at least 1 and 2, not %s and %s", rows, length);
    }
  }

  /** Looks at all of a model. @throws PerformerException if it cannot be read */
  public static ModelDevices of(Model model, Options options) {
    return new Looking(model, options).all();
  }

  private static final class Looking {
    private final Model model;
    private final Options options;
    private final List<DeviceCheck> checks = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private final Map<String, Map<String, NpyArray>> samples;

    Looking(Model model, Options options) {
      this.model = model;
      this.options = options;
      if (options.compiles()) {
        var found = SampleInputs.of(model.directory(), options.rows(), options.length());
        samples = found.samples();
        found.failures().forEach(failure -> notes.add("not compiled: " + failure));
      } else {
        samples = Map.of();
      }
    }

    ModelDevices all() {
      SavedModelDirectory directory = model.directory();
      for (SignatureSpec signature : directory.signatures().values()) {
        var checked = directory.signature(signature.name());
        checks.add(SignatureCheck.of(directory, checked, samples.get(signature.name())));
      }
      look("fine-tune", this::fineTuning);
      if (model.config().isPresent() && model.config().get().task() != Task.ENCODER) {
        look("train", () -> training(model.config().get()));
      }
      return new ModelDevices(model.path(), options.rows(), length(), checks, notes);
    }

    private void look(String step, Runnable look) {
      try {
        look.run();
      } catch (PerformerException e) {
        notes.add(step + ": " + e.getMessage());
      }
    }

    /** Shorter where the model has no more positions. */
    private int length() {
      Integer most =
          model
              .card()
              .map(ModelCard::languageModel)
              .map(ModelCard.LanguageModel::maxLength)
              .or(() -> model.config().map(PerformerConfig::maxLength))
              .orElse(null);
      return most == null ? options.length() : Math.min(options.length(), most);
    }

    private void training(PerformerConfig config) {
      try (Graph graph = new Graph()) {
        Trainable trainable = Trainable.of(graph, config, options.loop());
        LabelledBatch batch =
            options.compiles() ? batch(config.task(), options.rows(), length()) : null;
        DeviceCheck step = StepCheck.of("train", trainable, options.loop(), batch);
        checks.add(step);
        if (!trainable.redraws().isEmpty()) {
          checks.add(StepCheck.redraws(trainable, options.compiles()));
        }
      }
    }

    private void fineTuning() {
      String name = trained().name();
      try (ImportedModel imported =
          ImportedModel.load(model.directory(), List.of(name), options.loop().adaptation())) {
        SignatureSpec signature = imported.signatures().get(name); // in training, perhaps
        var trainability = imported.trainability();
        imported.freeze(trainability.blocked());
        String why = "%s";
        require(!trainability.trainable().isEmpty(), why, trainability.summary());
        Map<String, NpyArray> arrays = samples.get(name);
        Trainable trainable;
        LabelledBatch batch;
        try {
          var recorded = model.card().map(ModelCard::languageModel).orElse(null);
          var tensors = ImportedLanguageModel.resolve(signature, recorded, 0);
          LanguageModel language = ImportedLanguageModel.of(imported, tensors);
          trainable = Trainable.of(language.withVariables(imported.variables()));
          batch = arrays == null ? null : like(arrays.get(tensors.tokens()));
        } catch (PerformerException e) {
          trainable = squares(imported, signature, arrays);
          batch = arrays == null ? null : of(arrays);
        }
        checks.add(StepCheck.of("fine-tune", trainable, options.loop(), batch));
      }
    }

    /** What is trained where nothing is named. */
    private SignatureSpec trained() {
      var recorded = model.card().map(ModelCard::languageModel);
      String usual =
          recorded.map(ModelCard.LanguageModel::signature).orElse(ImportedModel.DEFAULT_SIGNATURE);
      var known = model.signatures();
      boolean isThere = known.containsKey(usual) || !known.isEmpty();
      require(isThere, "%s has no signature", model.path());
      return model
          .directory()
          .signature(known.containsKey(usual) ? usual : known.keySet().iterator().next());
    }

    /** The mean square of all outputs that can be trained, in place of a loss of the user's. */
    private static Trainable squares(
        ImportedModel imported, SignatureSpec signature, Map<String, NpyArray> arrays) {
      Ops tf = Ops.create(imported.graph()).withSubScope("loss");
      List<Operand<TFloat32>> means = new ArrayList<>();
      for (String name : signature.outputs().keySet()) {
        Output<?> output = imported.output(signature.name(), name);
        if (LossGradients.isDifferentiable(output.dataType())) {
          var flat = tf.reshape(wide(tf, output), tf.constant(new int[] {-1}));
          means.add(tf.math.mean(tf.math.square(flat), tf.constant(0)));
        }
      }
      Output<TFloat32> loss = tf.math.addN(means).asOutput();
      Operand<TFloat64> sum = tf.dtypes.cast(loss, TFloat64.class);
      var sums = tf.stack(List.of(sum, tf.constant(Double.NaN), tf.constant(1.0)));
      return Trainable.builder(imported.graph(), imported::variables, imported::restore)
          .loss(loss)
          .sums(sums.asOutput())
          .feed(
              batch -> {
                Feed feed = new Feed();
                signature
                    .inputs()
                    .forEach(
                        (name, spec) ->
                            feed.put(
                                imported.input(signature.name(), name),
                                ImportedModel.tensor(spec, arrays.get(name))));
                return feed;
              })
          .build();
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Operand<TFloat32> wide(Ops tf, Output<?> output) {
      return output.type() == TFloat32.class
          ? output.expect(TFloat32.class)
          : tf.dtypes.cast((Operand) output, TFloat32.class);
    }

    private static LabelledBatch of(Map<String, NpyArray> arrays) {
      return LabelledBatch.of(1, new int[0], ones(1), new float[0], arrays);
    }

    /** In the sizes of tokens that the model runs on. */
    private static LabelledBatch like(NpyArray tokens) {
      return batch(Task.CAUSAL_LM, (int) tokens.shape()[0], (int) tokens.shape()[1]);
    }

    /** Rows of one token, all of them real, which guess themselves. */
    private static LabelledBatch batch(Task task, int rows, int length) {
      int[] real = new int[rows * length];
      Arrays.fill(real, 1);
      int guesses = task.hasTokenLogits() ? real.length : rows;
      boolean isOfNumbers = task.hasNumbers();
      return new LabelledBatch(
          rows,
          length,
          real,
          real,
          isOfNumbers ? new int[0] : new int[guesses],
          ones(guesses),
          isOfNumbers ? ones(guesses) : new float[0],
          task.hasDecoder() ? real : new int[0]);
    }

    private static float[] ones(int size) {
      float[] ones = new float[size];
      Arrays.fill(ones, 1);
      return ones;
    }
  }
}
