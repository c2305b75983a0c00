package dev.performer.savedmodel.softmax;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.NativeErrors;
import dev.performer.savedmodel.FlatModel;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;

/**
 * What tensors of a model are on a few small inputs of different sizes: the first without padding,
 * the others with padding anywhere. Owns a session, and inputs as long as it is open.
 */
final class Samples implements AutoCloseable {
  private final FlatModel model;
  private final Graph graph = new Graph();
  private Session session;
  private final List<Map<String, Tensor>> inputs = new ArrayList<>();
  private final List<Map<String, NpyArray>> values = new ArrayList<>();

  Samples(FlatModel model) {
    this.model = model;
    try {
      graph.importGraphDef(model.definition());
      session = model.restored(graph);
      for (SampleShape shape : SampleShape.ALL) {
        Map<String, Tensor> feeds = new LinkedHashMap<>();
        inputs.add(feeds);
        values.add(new TreeMap<>());
        for (SignatureSpec signature : model.signatures()) {
          signature.inputs().values().forEach(input -> feed(feeds, input, shape));
        }
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private void feed(Map<String, Tensor> feeds, TensorSpec input, SampleShape shape) {
    String reference = model.reference(input);
    if (!feeds.containsKey(reference)) {
      NpyArray array = shape.values(input);
      values.get(values.size() - 1).put(reference, array);
      feeds.put(reference, ImportedModel.tensor(input, array));
    }
  }

  int count() {
    return values.size();
  }

  Graph graph() {
    return graph;
  }

  /** Computes tensors. @throws PerformerException if the model does not run on such inputs */
  void fetch(Collection<String> references) {
    List<String> wanted = references.stream().filter(r -> !has(r)).toList();
    for (int i = 0; i < count(); i++) {
      values.get(i).putAll(run(inputs.get(i), wanted));
    }
  }

  /** Tensors of one sample where others have values that are given here, by reference. */
  Map<String, NpyArray> fetch(int sample, Map<String, NpyArray> given, Collection<String> wanted) {
    Map<String, Tensor> feeds = new LinkedHashMap<>();
    try {
      given.forEach((name, array) -> feeds.put(name, tensor(name, array)));
      Map<String, Tensor> all = new LinkedHashMap<>(inputs.get(sample));
      all.putAll(feeds);
      return run(all, wanted);
    } finally {
      feeds.values().forEach(Tensor::close);
    }
  }

  private Tensor tensor(String reference, NpyArray array) {
    DataType type = graph.outputOrThrow(reference).dataType();
    return ImportedModel.tensor(new TensorSpec(reference, reference, type, Shape.unknown()), array);
  }

  private Map<String, NpyArray> run(Map<String, Tensor> feeds, Collection<String> references) {
    if (references.isEmpty()) {
      return Map.of();
    }
    try {
      return FlatModel.fetch(session, feeds, references);
    } catch (PerformerException e) {
      throw e;
    } catch (RuntimeException e) {
      String text = "%s: does not run on the small inputs that its attention is looked at with: %s";
      String why = NativeErrors.firstLine(e);
      throw new PerformerException(text.formatted(model.directory().path(), why), e);
    }
  }

  boolean has(String reference) {
    return values.get(0).containsKey(reference);
  }

  NpyArray value(String reference, int sample) {
    return values.get(sample).get(reference);
  }

  /** Of each sample. */
  List<long[]> shapes(String reference) {
    return values.stream().map(sample -> sample.get(reference).shape()).toList();
  }

  @Override
  public void close() {
    inputs.forEach(feeds -> feeds.values().forEach(Tensor::close));
    if (session != null) {
      session.close();
    }
    graph.close();
  }
}
