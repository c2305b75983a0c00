package dev.performer.savedmodel.softmax;

import dev.performer.graph.GraphIndex;
import dev.performer.graph.TensorNames;
import dev.performer.savedmodel.softmax.Site.NoMatch;
import dev.performer.savedmodel.softmax.Site.Scale;
import dev.performer.savedmodel.softmax.Site.Wire;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.NodeDef;

/**
 * Finds what a softmax mixes by which queries and keys.
 *
 * @param users of each tensor, by reference
 * @param outputs of the model, which are used as well
 */
record SiteMatcher(
    GraphIndex index,
    Samples samples,
    Map<String, List<NodeDef>> users,
    Set<String> outputs,
    Walk walk) {
  private static final Set<String> SUMS = Set.of("Add", "AddV2");
  private static final Set<String> CHOICES = Set.of("Select", "SelectV2");
  private static final Set<String> LEFT = Set.of("Sub", "RealDiv", "Div", "DivNoNan");

  /** What lies between a product and the softmax. */
  private record Trail(
      NodeDef product,
      Axes axes,
      List<Wire> sides,
      Atom size,
      List<Scale> scales,
      List<Wire> terms) {
    Trail scaled(Scale scale) {
      List<Scale> all = new ArrayList<>(scales);
      all.add(scale);
      return new Trail(product, axes, sides, size, all, terms);
    }

    Trail masked(Wire... more) {
      List<Wire> all = new ArrayList<>(terms);
      all.addAll(List.of(more));
      return new Trail(product, axes, sides, size, scales, all);
    }
  }

  Site match(NodeDef softmax) throws NoMatch {
    List<long[]> shapes = samples.shapes(softmax.getName());
    Axes axes = Axes.of(shapes);
    int rank = axes.rank();
    boolean isMatrix =
        rank >= 2 && axes.axis(rank - 1).size() == 1 && axes.axis(rank - 2).size() == 1;
    if (!isMatrix) {
      throw new NoMatch("it is over no matrix of queries and keys");
    }
    Atom keys = axes.axis(rank - 1).get(0);
    Atom queries = axes.axis(rank - 2).get(0);
    Trail trail = trail(softmax.getInput(0), axes, queries, keys);
    Wire q = trail.sides.get(0);
    Wire k = trail.sides.get(1);
    List<Atom> batch = axes.leaves().stream().filter(a -> a != keys && a != queries).toList();
    return mixed(softmax, axes, trail, q, k, batch, queries, keys);
  }

  private Trail trail(String reference, Axes axes, Atom queries, Atom keys) throws NoMatch {
    NodeDef node = index.require(reference, "a softmax");
    String op = node.getOp();
    if (Contraction.OPS.contains(op)) {
      return product(node, axes, queries, keys);
    }
    if (Walk.SAME.contains(op) || Walk.MOVING.contains(op)) {
      return trail(node.getInput(0), in(node, 0, axes), queries, keys);
    }
    if (CHOICES.contains(op)) {
      return either(node, axes, queries, keys, 1, 2).masked(in(node, 0, axes, "mask"));
    }
    if (op.equals("Mul") || SUMS.contains(op)) {
      return either(node, axes, queries, keys, 0, 1);
    }
    if (LEFT.contains(op)) {
      return along(node, axes, queries, keys, 0, 1);
    }
    throw new NoMatch("behind its product of queries and keys stands %s (%s)", op, node.getName());
  }

  private Axes in(NodeDef node, int input, Axes out) throws NoMatch {
    return in(node, input, out, "product").axes();
  }

  private Wire in(NodeDef node, int input, Axes out, String what) throws NoMatch {
    Optional<Axes> axes = walk.back(node, input, out);
    if (axes.isEmpty()) {
      throw new NoMatch(
          "%s changes the axes of its %s in a way that is not known", node.getName(), what);
    }
    return new Wire(node.getInput(input), axes.get());
  }

  private Trail either(NodeDef node, Axes axes, Atom queries, Atom keys, int one, int other)
      throws NoMatch {
    try {
      return along(node, axes, queries, keys, one, other);
    } catch (NoMatch first) {
      try {
        return along(node, axes, queries, keys, other, one);
      } catch (NoMatch second) {
        throw first.getMessage().startsWith("no ") ? second : first;
      }
    }
  }

  private Trail along(NodeDef node, Axes axes, Atom queries, Atom keys, int spine, int side)
      throws NoMatch {
    Axes inner = in(node, spine, axes);
    if (!inner.has(queries) || !inner.has(keys)) {
      throw new NoMatch("no product of queries and keys stands before it");
    }
    Trail trail = trail(node.getInput(spine), inner, queries, keys);
    Wire other = in(node, side, axes, "mask");
    boolean divides = LEFT.contains(node.getOp()) && !node.getOp().equals("Sub");
    boolean isScale = (divides || node.getOp().equals("Mul")) && other.axes().leaves().isEmpty();
    return isScale ? trail.scaled(new Scale(other.reference(), divides)) : trail.masked(other);
  }

  private Trail product(NodeDef node, Axes axes, Atom queries, Atom keys) throws NoMatch {
    List<Wire> sides = operands(node, axes);
    boolean isSwapped = sides.get(0).axes().has(keys);
    Wire q = sides.get(isSwapped ? 1 : 0);
    Wire k = sides.get(isSwapped ? 0 : 1);
    boolean isScores =
        q.axes().only(queries) >= 0
            && k.axes().only(keys) >= 0
            && !q.axes().has(keys)
            && !k.axes().has(queries);
    List<Atom> summed = new ArrayList<>(q.axes().leaves());
    summed.removeAll(axes.leaves());
    if (!isScores || summed.size() != 1 || !k.axes().has(summed.get(0))) {
      throw new NoMatch("no product of queries and keys stands before it");
    }
    if (!summed.get(0).isFixed()) {
      throw new NoMatch("the size of its heads depends on inputs");
    }
    return new Trail(
        node, axes, List.of(peeled(q), peeled(k)), summed.get(0), List.of(), List.of());
  }

  /** In front of transpositions, which attention makes itself. */
  private Wire peeled(Wire operand) {
    NodeDef node = index.find(operand.reference()).orElseThrow();
    if (!node.getOp().equals("Transpose")) {
      return operand;
    }
    return walk.back(node, 0, operand.axes())
        .map(axes -> new Wire(node.getInput(0), axes))
        .orElse(operand);
  }

  /** Both factors of a product by the axes of the product; what is summed over is new. */
  private List<Wire> operands(NodeDef node, Axes out) throws NoMatch {
    Contraction product = contraction(node);
    if (product.summed().size() != 1 || !product.isProduct()) {
      throw new NoMatch("%s sums over several axes", node.getName());
    }
    List<Wire> operands = new ArrayList<>();
    Atom[] summed = new Atom[1];
    for (int i = 0; i < 2; i++) {
      String letters = product.operands().get(i);
      List<long[]> shapes = samples.shapes(node.getInput(i));
      List<List<Atom>> axes = new ArrayList<>();
      for (int a = 0; a < letters.length(); a++) {
        long[] sizes = Axes.sizes(shapes, a);
        int at = product.out().indexOf(letters.charAt(a));
        if (at < 0 && summed[0] == null && !Axes.isOne(sizes)) {
          summed[0] = new Atom(sizes);
        }
        List<Atom> axis =
            at >= 0 ? out.axis(at) : summed[0] == null ? List.of() : List.of(summed[0]);
        axes.add(Axes.isOne(sizes) ? List.of() : axis);
      }
      operands.add(new Wire(node.getInput(i), new Axes(axes)));
    }
    return operands;
  }

  private Contraction contraction(NodeDef node) throws NoMatch {
    int first = samples.shapes(node.getInput(0)).get(0).length;
    int second = samples.shapes(node.getInput(1)).get(0).length;
    Optional<Contraction> product = Contraction.of(node, first, second);
    if (product.isEmpty()) {
      throw new NoMatch("%s is a product of another kind", node.getName());
    }
    return product.get();
  }

  private Site mixed(
      NodeDef softmax,
      Axes matrix,
      Trail trail,
      Wire q,
      Wire k,
      List<Atom> batch,
      Atom queries,
      Atom keys)
      throws NoMatch {
    String at = softmax.getName();
    Axes axes = matrix;
    List<Wire> terms = new ArrayList<>(trail.terms);
    while (true) {
      NodeDef user = onlyUser(at);
      if (Contraction.OPS.contains(user.getOp())) {
        Contraction product = contraction(user);
        int side = TensorNames.node(user.getInput(0)).equals(at) ? 0 : 1;
        return site(
            softmax, trail, q, k, batch, queries, keys, terms, user, product, side, at, axes);
      }
      boolean isChosen = CHOICES.contains(user.getOp()) && !user.getInput(0).equals(at);
      if (isChosen && walk.back(user, 1, axes).isPresent()) {
        at = user.getName(); // weights of masked keys made 0, which is verified
        continue;
      }
      if (Walk.SAME.contains(user.getOp()) || Walk.MOVING.contains(user.getOp())) {
        Optional<Axes> moved = walk.forward(user, axes);
        if (moved.isEmpty()) {
          throw new NoMatch(
              "%s changes the axes of its weights in a way that is not known", user.getName());
        }
        axes = moved.get();
      } else {
        throw new NoMatch("its weights go into %s (%s)", user.getOp(), user.getName());
      }
      at = user.getName();
    }
  }

  private NodeDef onlyUser(String reference) throws NoMatch {
    List<NodeDef> all = users.getOrDefault(reference, List.of());
    if (outputs.contains(reference)) {
      throw new NoMatch("its weights are an output of the model");
    }
    if (all.size() != 1) {
      String names = String.join(", ", all.stream().map(NodeDef::getName).toList());
      throw new NoMatch("its weights are used elsewhere, too: by %s", names);
    }
    return all.get(0);
  }

  private Site site(
      NodeDef softmax,
      Trail trail,
      Wire q,
      Wire k,
      List<Atom> given,
      Atom queries,
      Atom keys,
      List<Wire> terms,
      NodeDef user,
      Contraction product,
      int side,
      String weights,
      Axes axes)
      throws NoMatch {
    String own = product.operands().get(side);
    String other = product.operands().get(1 - side);
    List<long[]> shapes = samples.shapes(user.getInput(1 - side));
    List<List<Atom>> valueAxes = new ArrayList<>();
    Atom size = null;
    for (int a = 0; a < other.length(); a++) {
      long[] sizes = Axes.sizes(shapes, a);
      int at = own.indexOf(other.charAt(a));
      List<Atom> axis = at >= 0 ? axes.axis(at) : List.of(new Atom(sizes));
      if (at < 0 && size != null) {
        throw new NoMatch("its values have several axes of their own");
      }
      size = at < 0 ? axis.get(0) : size;
      boolean isOne = Axes.isOne(sizes) && at >= 0;
      valueAxes.add(isOne ? List.of() : axis);
    }
    List<Atom> summed =
        product.summed().stream().flatMap(c -> axes.axis(own.indexOf(c)).stream()).toList();
    if (!summed.equals(List.of(keys)) || size == null || !size.isFixed()) {
      throw new NoMatch("its weights are multiplied with no values");
    }
    List<List<Atom>> outAxes = new ArrayList<>();
    for (char letter : product.out().toCharArray()) {
      int at = own.indexOf(letter);
      outAxes.add(at >= 0 ? axes.axis(at) : valueAxes.get(other.indexOf(letter)));
    }
    Wire v = peeled(new Wire(user.getInput(1 - side), new Axes(valueAxes)));
    List<Atom> batch = given.stream().flatMap(Atom::leaves).toList();
    return new Site(
        softmax.getName(),
        trail.product.getName(),
        trail.axes,
        q,
        k,
        v,
        new Wire(weights, axes),
        user.getName(),
        new Axes(outAxes),
        batch,
        queries,
        keys,
        trail.size,
        size,
        trail.scales,
        terms);
  }
}
