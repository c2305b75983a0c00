package dev.performer.savedmodel.softmax;

import dev.performer.graph.GraphIndex;
import dev.performer.graph.OpDefinitions;
import dev.performer.graph.TensorNames;
import dev.performer.savedmodel.FlatModel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/** All sites of a model, in the order in which data pass them, and why other softmaxes are none. */
final class SiteFinder {
  private static final Set<DataType> WITHOUT_ARRAYS =
      Set.of(DataType.DT_RESOURCE, DataType.DT_VARIANT, DataType.DT_STRING);

  private final GraphIndex index;
  private final Walk walk;
  private final List<Site> sites = new ArrayList<>();
  private final Map<String, String> obstacles = new LinkedHashMap<>();
  private final Map<String, List<String>> layers = new HashMap<>();

  SiteFinder(FlatModel model, GraphIndex index, Samples samples) {
    this.index = index;
    walk = new Walk(index, samples);
    List<NodeDef> nodes = model.definition().getNodeList();
    Map<String, List<NodeDef>> users = new HashMap<>();
    for (NodeDef node : nodes) {
      for (String input : GraphIndex.dataInputs(node)) {
        users.computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>()).add(node);
      }
    }
    Set<String> outputs = new HashSet<>();
    model
        .signatures()
        .forEach(
            s ->
                s.outputs().values().stream()
                    .map(model::reference)
                    .map(TensorNames::node)
                    .forEach(outputs::add));
    List<NodeDef> softmaxes =
        new ArrayList<>(nodes.stream().filter(node -> node.getOp().equals("Softmax")).toList());
    Set<String> wanted = new LinkedHashSet<>();
    softmaxes.forEach(softmax -> around(softmax, users, wanted));
    samples.fetch(wanted);
    Map<String, Integer> depths = new HashMap<>();
    for (NodeDef softmax : softmaxes) {
      Set<String> before = index.reached(List.of(softmax.getName()), NodeDef::getInputList);
      List<NodeDef> all = before.stream().map(n -> index.require(n, "a softmax")).toList();
      int depth = (int) all.stream().filter(node -> node.getOp().equals("Softmax")).count();
      depths.put(softmax.getName(), depth);
      Set<String> key = new TreeSet<>();
      all.stream()
          .filter(node -> node.getOp().equals("VarHandleOp"))
          .forEach(node -> key.add(node.getName()));
      List<String> layer = new ArrayList<>(List.of(depth + ""));
      layer.addAll(key);
      layers.put(softmax.getName(), layer);
    }
    softmaxes.sort(Comparator.comparing(node -> depths.get(node.getName())));
    SiteMatcher matcher = new SiteMatcher(index, samples, users, outputs, walk);
    for (NodeDef softmax : softmaxes) {
      try {
        sites.add(matcher.match(softmax));
      } catch (Site.NoMatch e) {
        obstacles.put(softmax.getName(), e.getMessage());
      }
    }
    for (var function : model.definition().getLibrary().getFunctionList()) {
      function.getNodeDefList().stream()
          .filter(node -> node.getOp().equals("Softmax"))
          .forEach(
              node ->
                  obstacles.put(
                      function.getSignature().getName() + "/" + node.getName(),
                      "it stands in a loop or a branch"));
    }
  }

  List<Site> sites() {
    return sites;
  }

  /** Reasons by node; may be added to. */
  Map<String, String> obstacles() {
    return obstacles;
  }

  Walk walk() {
    return walk;
  }

  /** The same for one layer in several signatures: what it reads, and how many were before it. */
  List<String> layer(Site site) {
    return layers.get(site.softmax());
  }

  /** References whose values in samples say what the softmax is part of. */
  private void around(NodeDef softmax, Map<String, List<NodeDef>> users, Set<String> wanted) {
    Deque<String> open = new ArrayDeque<>(List.of(softmax.getInput(0)));
    Set<String> passed = new HashSet<>();
    add(softmax.getName(), wanted);
    while (!open.isEmpty()) {
      String reference = open.pop();
      NodeDef node = index.require(reference, softmax.getName());
      if (!add(reference, wanted) || !passed.add(reference)) {
        continue;
      }
      boolean isProduct = Contraction.OPS.contains(node.getOp());
      for (String input : GraphIndex.dataInputs(node)) {
        if (isProduct) {
          add(input, wanted);
          unturned(input, wanted);
        } else if (Walk.passes(node.getOp())) {
          open.push(input);
        }
      }
    }
    NodeDef at = softmax;
    for (int steps = 0; steps < 10; steps++) {
      List<NodeDef> next = users.getOrDefault(at.getName(), List.of());
      if (next.size() != 1) {
        break;
      }
      at = next.get(0);
      add(at.getName(), wanted);
      for (String input : GraphIndex.dataInputs(at)) {
        add(input, wanted);
        unturned(input, wanted);
      }
      if (Contraction.OPS.contains(at.getOp())) {
        break;
      }
    }
  }

  private void unturned(String reference, Set<String> wanted) {
    NodeDef node = index.require(reference, "a product");
    if (node.getOp().equals("Transpose")) {
      GraphIndex.dataInputs(node).forEach(input -> add(input, wanted));
    }
  }

  private boolean add(String reference, Set<String> wanted) {
    NodeDef node = index.require(reference, "a softmax");
    var types = OpDefinitions.outputTypes(node);
    int output = TensorNames.index(reference);
    boolean isArray = output < types.size() && !WITHOUT_ARRAYS.contains(types.get(output));
    if (isArray) {
      wanted.add(reference);
    }
    return isArray;
  }
}
