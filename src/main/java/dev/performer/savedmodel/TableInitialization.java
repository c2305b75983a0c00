package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.TensorNames;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.types.TString;

/** Fills the lookup tables of an imported model from its assets. */
final class TableInitialization {
  private final Optional<String> target;
  private final Map<Output<?>, Path> assets = new HashMap<>();

  private TableInitialization(Optional<String> target) {
    this.target = target;
  }

  /** Whether a graph looks things up in tables. */
  static boolean isNeeded(GraphDef graph) {
    return graph.getNodeList().stream().anyMatch(node -> node.getOp().contains("HashTable"));
  }

  /** Nothing to fill. */
  static TableInitialization none() {
    return new TableInitialization(Optional.empty());
  }

  /** Finds the initializer and the tensors that hold the assets' paths in the imported graph. */
  static TableInitialization of(
      Graph graph, FlatGraph flat, SavedModelDirectory directory, String initializer) {
    TableInitialization initialization =
        new TableInitialization(
            Optional.of(TensorNames.node(flat.resolve("^" + TensorNames.node(initializer)))));
    directory
        .assets()
        .forEach(
            (name, file) -> {
              String tensor = flat.resolve(name);
              var operation = graph.operation(TensorNames.node(tensor));
              if (operation != null) {
                initialization.assets.put(operation.output(TensorNames.index(tensor)), file);
              }
            });
    return initialization;
  }

  /** Fills the tables of a session. @throws PerformerException if an asset is missing */
  void run(Session session) {
    if (target.isEmpty()) {
      return;
    }
    List<TString> paths = new ArrayList<>();
    Session.Runner runner = session.runner().addTarget(target.get());
    try {
      for (Map.Entry<Output<?>, Path> asset : assets.entrySet()) {
        if (!Files.isRegularFile(asset.getValue())) {
          throw new PerformerException("the asset " + asset.getValue() + " is missing");
        }
        TString path = TString.scalarOf(asset.getValue().toString());
        paths.add(path);
        runner.feed(asset.getKey(), path);
      }
      runner.run().close();
    } finally {
      paths.forEach(TString::close);
    }
  }
}
