package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;

/**
 * Reads back what {@code ci/interop/check_export.py} saved: the same outputs as Python, and the
 * same variables as Java's export where Python trained nothing.
 */
public final class InteropCheck {
  private static final float TOLERANCE = 1e-5f;

  private InteropCheck() {}

  /**
   * @param arguments Java's exports, Python's directory, and the names of the models
   */
  public static void main(String[] arguments) {
    Path exports = Path.of(arguments[0]);
    Path python = Path.of(arguments[1]);
    for (String name : Arrays.asList(arguments).subList(2, arguments.length)) {
      requireSameVariables(exports.resolve(name), python.resolve(name + "_resaved"), true);
      requireSameVariables(exports.resolve(name), python.resolve(name + "_trained"), false);
      for (String kind : new String[] {"_resaved", "_trained"}) {
        Path model = python.resolve(name + kind);
        float difference = Math.max(outputDifference(model), importedDifference(model));
        require(difference <= TOLERANCE, name + kind + " differs by " + difference);
        System.out.println(name + kind + ": Java computes what Python does, to " + difference);
      }
    }
  }

  private static void requireSameVariables(Path before, Path after, boolean same) {
    int changed = 0;
    try (CheckpointReader a = CheckpointReader.open(before.resolve("variables/variables"));
        CheckpointReader b = CheckpointReader.open(after.resolve("variables/variables"))) {
      Map<String, String> keysBefore = keysByName(a);
      Map<String, String> keysAfter = keysByName(b);
      require(
          keysBefore.keySet().equals(keysAfter.keySet()),
          after + " has " + keysAfter.keySet() + ", expected " + keysBefore.keySet());
      for (String name : keysBefore.keySet()) {
        String key = keysBefore.get(name);
        String otherKey = keysAfter.get(name);
        require(a.entry(key).equals(b.entry(otherKey)), name + " has another type or shape");
        try (Tensor x = a.tensor(key);
            Tensor y = b.tensor(otherKey)) {
          changed += Arrays.equals(Tensors.bytes(x), Tensors.bytes(y)) ? 0 : 1;
        }
      }
    }
    require(same == (changed == 0), after + ": " + changed + " variables changed");
  }

  /** Python stores a variable under the shortest path to it, so keys may change; names do not. */
  private static Map<String, String> keysByName(CheckpointReader reader) {
    Map<String, String> keys = new TreeMap<>();
    try {
      TrackableObjectGraph.parseFrom(reader.string(CheckpointReader.OBJECT_GRAPH_KEY))
          .getNodesList()
          .forEach(
              node ->
                  node.getAttributesList()
                      .forEach(value -> keys.put(value.getFullName(), value.getCheckpointKey())));
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
    return keys;
  }

  private static float outputDifference(Path savedModel) {
    Map<String, NpyArray> arrays =
        Npz.read(savedModel.resolveSibling(savedModel.getFileName() + ".npz"));
    float worst = 0;
    int compared = 0;
    try (SavedModelBundle bundle = SavedModelBundle.load(savedModel.toString(), "serve")) {
      for (String signature : signatures(arrays)) {
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        arrays.forEach(
            (key, array) -> {
              if (key.startsWith("in|" + signature + "|")) {
                inputs.put(key.substring(key.lastIndexOf('|') + 1), tensor(array));
              }
            });
        try (Result result = bundle.function(signature).call(inputs)) {
          for (Map.Entry<String, Tensor> entry : result) {
            float[] expected = arrays.get("out|" + signature + "|" + entry.getKey()).floats();
            float[] actual = Tensors.floats(entry.getValue());
            require(actual.length == expected.length, signature + "/" + entry.getKey());
            for (int i = 0; i < actual.length; i++) {
              worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
              compared++;
            }
          }
        } finally {
          inputs.values().forEach(Tensor::close);
        }
      }
    }
    require(compared > 0, savedModel + " has no outputs");
    return worst;
  }

  /** The same through the importer, which inlines Python's functions. */
  private static float importedDifference(Path savedModel) {
    Map<String, NpyArray> arrays =
        Npz.read(savedModel.resolveSibling(savedModel.getFileName() + ".npz"));
    float worst = 0;
    try (ImportedModel model = ImportedModel.load(savedModel);
        Session session = new Session(model.graph())) {
      model.restore(session);
      try (Tensor tokens = tensor(arrays.get("in|serving_default|tokens"));
          Result result =
              session
                  .runner()
                  .feed(model.input("serving_default", "tokens"), tokens)
                  .fetch(model.output("serving_default", "logits"))
                  .run()) {
        float[] expected = arrays.get("out|serving_default|logits").floats();
        float[] actual = Tensors.floats(result.get(0));
        for (int i = 0; i < expected.length; i++) {
          worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
        }
      }
    }
    return worst;
  }

  private static TreeSet<String> signatures(Map<String, NpyArray> arrays) {
    TreeSet<String> names = new TreeSet<>();
    arrays.keySet().forEach(key -> names.add(key.split("\\|")[1]));
    return names;
  }

  private static Tensor tensor(NpyArray array) {
    return switch (array.type()) {
      case INT32 -> Tensors.of(array.ints(), array.shape());
      case FLOAT32 -> Tensors.of(array.floats(), array.shape());
      default -> throw new IllegalArgumentException("unexpected " + array.type());
    };
  }

  private static void require(boolean condition, String message) {
    if (!condition) {
      throw new AssertionError(message);
    }
  }
}
