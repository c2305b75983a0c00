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

/** Fills the lookup tables of an imported model from its assets, if it has any. */
final class TableInitialization {
  private final Optional<String> target;
  private final Map<Output<?>, Path> assets = new HashMap<>();

  /** Finds the initializer and the tensors that hold the assets' paths in the imported graph. */
  TableInitialization(
      Graph graph, FlatGraph flat, SavedModelDirectory directory, Optional<String> initializer) {
    target = initializer.map(node -> "^" + TensorNames.node(node)).map(flat::resolve);
    Map<String, Path> files = target.isPresent() ? directory.assets() : Map.of();
    files.forEach(
        (name, file) -> {
          String tensor = flat.resolve(name);
          if (graph.operation(TensorNames.node(tensor)) != null) {
            assets.put(graph.outputOrThrow(tensor), file);
          }
        });
  }

  /** Whether a graph looks things up in tables. */
  static boolean isNeeded(GraphDef graph) {
    return graph.getNodeList().stream().anyMatch(node -> node.getOp().contains("HashTable"));
  }

  /** Fills the tables of a session. @throws PerformerException if an asset is missing */
  void run(Session session) {
    if (target.isEmpty()) {
      return;
    }
    List<TString> paths = new ArrayList<>();
    Session.Runner runner = session.runner().addTarget(TensorNames.node(target.get()));
    try {
      for (var asset : assets.entrySet()) {
        Path file = asset.getValue();
        PerformerException.require(Files.isRegularFile(file), "the asset %s is missing", file);
        TString path = TString.scalarOf(file.toString());
        paths.add(path);
        runner.feed(asset.getKey(), path);
      }
      runner.run().close();
    } finally {
      paths.forEach(TString::close);
    }
  }
}
