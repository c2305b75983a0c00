package dev.performer.savedmodel;

import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import dev.performer.graph.Tensors;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.AttentionConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.Signature;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * Writes SavedModels for {@code ci/interop}, and what Java computes with them: {@code NAME/} and
 * {@code NAME.npz} with arrays {@code in|SIGNATURE|INPUT}, {@code out|SIGNATURE|OUTPUT}.
 */
public final class InteropExport {
  private static final int[] IDS = {1, 4, 2, 8, 5, 7, 0, 3, 9, 10, 6, 6};
  private static final float[] MASK = {1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1};

  private InteropExport() {}

  /**
   * @param arguments the directory to write into, and two models that Python made: one that Keras 2
   *     saved and one that Keras 3 exported
   */
  public static void main(String[] arguments) throws IOException {
    Path directory = Files.createDirectories(Path.of(arguments[0]));
    try (SmallModel model = new SmallModel(20)) {
      ModelCard card =
          ModelCard.of(
              new AttentionConfig.Favor(
                  FavorConfig.of(Kernel.EXP).withFeatures(6).withCausal(true)),
              new ModelCard.Vocabulary("digits", List.of("a", "b"), 0, null, null, null),
              new ModelCard.LanguageModel(
                  "serving_default", "tokens", null, "logits", ModelCard.Objective.CAUSAL_LM),
              null);
      Path traced = directory.resolve("traced");
      model.exporter().card(card).export(model.session, traced);
      writeOutputs(traced);

      trainOneStep(model);
      Path cut = directory.resolve("cut");
      SavedModelExporter.builder()
          .variables(model.variables.all())
          .signature(
              "serving_default", Map.of("tokens", model.tokens), Map.of("logits", model.logits))
          .export(model.session, cut);
      writeOutputs(cut);
    }
    writeCorners(directory.resolve("corners"));
    replaceWeights(Path.of(arguments[1]), directory.resolve("keras2"), "layer_with_weights-");
    replaceWeights(Path.of(arguments[2]), directory.resolve("keras3"), "_all_variables/");
  }

  /**
   * Names that clash with one another or with Python's own, types other than float32, no inputs.
   */
  private static void writeCorners(Path target) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      String[] names = {
        "a",
        "a/b",
        "variables/x",
        "trainable_variables",
        "signatures/y",
        "w.1/k",
        "7/k",
        "_hidden",
        "list/1",
        "list/0",
        "list/2"
      };
      for (int i = 0; i < names.length; i++) {
        variables.create(names[i], Shape.of(3), i % 2 == 0, tf.constant(new float[] {i, 1, 2}));
      }
      variables.initialize(session);
      SavedModelExporter.builder()
          .variables(variables.all())
          .signature(
              "serving_default",
              List.of(
                  ArgumentSpec.of("x", TFloat32.class, -1, 3),
                  ArgumentSpec.of("negate", TBool.class),
                  ArgumentSpec.of("count", TInt64.class, 2)),
              (t, in, read) -> corners(t, in, read, names))
          .signature("no-input/1", List.of(), (t, in, read) -> Map.of("b", read.apply("a/b")))
          .export(session, target);
    }
    writeOutputs(target);
  }

  private static Map<String, Operand<?>> corners(
      Ops tf, Map<String, Operand<?>> in, Function<String, Operand<?>> read, String[] names) {
    Operand<TFloat32> sum = in.get("x").asOutput().expect(TFloat32.class);
    for (int i = 0; i < names.length; i++) {
      Operand<TFloat32> value = read.apply(names[i]).asOutput().expect(TFloat32.class);
      sum = tf.math.add(sum, tf.math.mul(value, tf.constant((float) (i + 1))));
    }
    Operand<TBool> negate = in.get("negate").asOutput().expect(TBool.class);
    Map<String, Operand<?>> outputs = new LinkedHashMap<>();
    outputs.put("z", tf.select(negate, tf.math.neg(sum), sum));
    outputs.put("count", in.get("count")); // an input that goes out as it is
    outputs.put("again", in.get("count"));
    return outputs;
  }

  /** Adds 1/16 to every variable whose key begins so; {@code check_replacement.py} knows. */
  private static void replaceWeights(Path original, Path target, String keys) {
    try (WeightReplacementTest.Weights weights =
        new WeightReplacementTest.Weights(original, key -> key.startsWith(keys))) {
      weights.shift(0.0625f);
      WeightReplacement.of(original).export(weights.session, weights.variables.all(), target);
    }
    writeOutputs(target);
  }

  private static void trainOneStep(SmallModel model) {
    Variable table = model.variables.get("embeddings/table");
    var loss =
        model.tf.math.mean(
            model.tf.math.square(model.logits), model.tf.constant(new int[] {0, 1, 2}));
    Output<?>[] gradient =
        model.graph.addGradients(loss.asOutput(), new Output<?>[] {table.handle()});
    Op step =
        model.tf.train.resourceApplyGradientDescent(
            table.handle(), model.tf.constant(0.5f), gradient[0].expect(TFloat32.class));
    try (TInt32 fed = Tensors.of(IDS, 2, 6)) {
      model.session.runner().feed(model.tokens, fed).addTarget(step).run().close();
    }
  }

  /** Runs every signature of a SavedModel on inputs of two shapes. */
  static void writeOutputs(Path savedModel) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (SavedModelBundle bundle = SavedModelBundle.load(savedModel.toString(), "serve");
        TInt32 tokens = Tensors.of(IDS, 2, 6);
        TFloat32 mask = Tensors.of(MASK, 2, 6);
        TFloat32 x = Tensors.of(MASK, 4, 3);
        TBool negate = TBool.scalarOf(true);
        TInt64 count = Tensors.of(new long[] {1L << 40, -1}, 2)) {
      for (Signature signature : bundle.signatures()) {
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        if (signature.key().startsWith("__")) { // Keras's __saved_model_init_op
          continue;
        }
        for (String name : signature.inputNames()) {
          inputs.put(
              name,
              switch (name) {
                case "mask" -> mask;
                case "x" -> x;
                case "negate" -> negate;
                case "count" -> count;
                default -> tokens;
              });
          arrays.put("in|" + signature.key() + "|" + name, array(inputs.get(name)));
        }
        try (Result result = bundle.function(signature.key()).call(inputs)) {
          result.forEach(
              entry ->
                  arrays.put(
                      "out|" + signature.key() + "|" + entry.getKey(), array(entry.getValue())));
        }
      }
    }
    Npz.write(savedModel.resolveSibling(savedModel.getFileName() + ".npz"), arrays);
  }

  static NpyArray array(Tensor tensor) {
    NpyType type =
        switch (tensor.dataType()) {
          case DT_FLOAT -> NpyType.FLOAT32;
          case DT_INT32 -> NpyType.INT32;
          case DT_INT64 -> NpyType.INT64;
          case DT_BOOL -> NpyType.BOOL;
          default -> throw new IllegalArgumentException("unexpected " + tensor.dataType());
        };
    return new NpyArray(type, tensor.shape().asArray(), Tensors.bytes(tensor));
  }
}
