package dev.performer.savedmodel.softmax;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.LossGradients;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.savedmodel.FlatModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/**
 * Exact attention in the graph of any SavedModel, whoever wrote it: found, verified on small
 * inputs, and replaced in a new model of the same signatures and variables.
 */
public final class ImportedAttention implements AutoCloseable {
  /** What takes the place of exact attention. */
  public interface Replacement {
    /** A matrix that the model keeps as a variable which is not trained, if it needs any. */
    Optional<ProjectionMatrix> projection(FoundAttention replaced);

    /** Attention with that matrix; null for none. */
    Attention attention(FoundAttention replaced, Operand<TFloat32> projection);
  }

  /** One site in one signature, and what it is. */
  private record Place(Site site, SiteMask mask, FoundAttention found) {}

  private final FlatModel model;
  private final GraphIndex index;
  private final Samples samples;
  private final MaskReader masks;
  private final List<Place> places = new ArrayList<>();
  private final List<FoundAttention> found = new ArrayList<>();

  private ImportedAttention(FlatModel model, Samples samples) {
    this.model = model;
    this.samples = samples;
    index = new GraphIndex(model.definition().getNodeList());
    SiteFinder finder = new SiteFinder(model, index, samples);
    Map<String, String> obstacles = finder.obstacles();
    masks = new MaskReader(index, samples, finder.walk(), finder.sites());
    Map<List<String>, List<Place>> layers = new LinkedHashMap<>();
    for (Site site : finder.sites()) {
      try {
        SiteMask mask = masks.read(site);
        layers
            .computeIfAbsent(finder.layer(site), key -> new ArrayList<>())
            .add(new Place(site, mask, null));
      } catch (Site.NoMatch e) {
        obstacles.put(site.softmax(), e.getMessage());
      }
    }
    for (List<Place> layer : layers.values()) {
      FoundAttention whole = found(layer);
      found.add(whole);
      layer.forEach(place -> places.add(new Place(place.site, place.mask, whole)));
    }
    obstacles.forEach(
        (node, why) ->
            found.add(
                new FoundAttention(
                    -1, List.of(node), List.of(), List.of(), List.of(), false, false, why)));
  }

  /** Looks at a model. @throws PerformerException if it cannot be read or run on small inputs */
  public static ImportedAttention open(SavedModelDirectory directory) {
    Samples samples = null;
    try {
      FlatModel model = FlatModel.of(directory, List.of());
      samples = new Samples(model);
      return new ImportedAttention(model, samples);
    } catch (RuntimeException e) {
      if (samples != null) {
        samples.close();
      }
      String text = directory.path() + ": its attention cannot be looked at: ";
      throw e instanceof PerformerException known
          ? known.in(directory.path())
          : new PerformerException(text + NativeErrors.firstLine(e), e);
    }
  }

  /** Layers that can be replaced, in their order, then what is left alone. */
  public List<FoundAttention> found() {
    return List.copyOf(found);
  }

  /** Layers that can be replaced. */
  public List<FoundAttention> layers() {
    return found.stream().filter(f -> !f.isLeft()).toList();
  }

  private FoundAttention found(List<Place> layer) {
    Site site = layer.get(0).site;
    List<Atom> batch = site.batch();
    return new FoundAttention(
        (int) found.stream().filter(f -> !f.isLeft()).count(),
        layer.stream().map(place -> place.site.softmax()).toList(),
        sizes(batch, site.length(), site.size()),
        sizes(batch, site.keyLength(), site.size()),
        sizes(batch, site.keyLength(), site.valueSize()),
        layer.get(0).mask.causal(),
        !layer.get(0).mask.factors().isEmpty(),
        "");
  }

  private static List<Long> sizes(List<Atom> batch, Atom... more) {
    return Stream.concat(batch.stream(), Stream.of(more))
        .map(atom -> atom.isFixed() ? atom.size(0) : -1)
        .toList();
  }

  /**
   * Writes the model with other attention in some layers. Python's training functions and layers
   * stay behind; signatures and variables keep their names.
   *
   * @param layers numbers of {@link #layers}
   * @param card of the new model
   * @param replace what is at the target
   * @throws PerformerException if there is nothing to replace, or it cannot be written
   */
  public void write(
      Set<Integer> layers, Replacement by, ModelCard card, Path target, boolean replace) {
    boolean hasTables = model.hasTables();
    require(!hasTables, "%s has lookup tables, which no new graph holds", model.directory().path());
    Swap swap = new Swap(model.definition());
    Map<Integer, ProjectionMatrix> matrices = new TreeMap<>();
    for (Place place : places) {
      int layer = place.found.layer();
      if (layers.contains(layer)) {
        if (!matrices.containsKey(layer)) {
          by.projection(place.found).ifPresent(p -> matrices.put(layer, p));
        }
        swap.put(place.site, build(place, by, matrices.get(layer)));
      }
    }
    try (Graph graph = new Graph()) {
      graph.importGraphDef(swap.graph());
      List<Variable> variables = new ArrayList<>(model.variables(graph));
      matrices.forEach(
          (layer, p) ->
              variables.add(
                  new Variable(
                      projectionOf(layer),
                      graph.outputOrThrow(swap.handle(layer)),
                      TFloat32.class,
                      Shape.of(p.shape()),
                      false,
                      Variables.checkpointKey(projectionOf(layer)))));
      try (Session session = model.restored(graph)) {
        fill(graph, session, variables, matrices);
        var exporter = model.exporter(graph, variables).card(card);
        (replace ? exporter.replaceExisting() : exporter).export(session, target);
      }
    }
  }

  /** The variable that a layer's projection is. */
  public static String projectionOf(int layer) {
    return "linear_attention_" + layer + "/projection";
  }

  private static void fill(
      Graph graph,
      Session session,
      List<Variable> variables,
      Map<Integer, ProjectionMatrix> matrices) {
    Ops tf = Ops.create(graph).withSubScope("projections");
    Session.Runner runner = session.runner();
    for (var entry : matrices.entrySet()) {
      String name = projectionOf(entry.getKey());
      Variable own =
          variables.stream().filter(v -> v.name().equals(name)).findFirst().orElseThrow();
      runner.addTarget(Variables.assign(tf, own, entry.getValue().constant(tf)));
    }
    if (!matrices.isEmpty()) {
      runner.run().close();
    }
  }

  private Swap.Part build(Place place, Replacement by, ProjectionMatrix matrix) {
    Site site = place.site;
    var type =
        Tensors.javaType(samples.graph().outputOrThrow(site.queries().reference()).dataType());
    require(
        TFloating.class.isAssignableFrom(type),
        "%s attends with numbers of another type",
        site.softmax());
    Graph graph = new Graph();
    try {
      Ops tf = Ops.create(graph);
      @SuppressWarnings("unchecked")
      var fragment = new Fragment<>(tf, (Class<? extends TFloating>) type, site, samples);
      Operand<TFloat32> projection = matrix == null ? null : Swap.projection(tf, matrix);
      Double scale = masks.isConstant(site) ? masks.scale(site, 0) : null;
      var out = fragment.build(by.attention(place.found, projection), place.mask, scale);
      Map<String, String> given = new TreeMap<>();
      fragment.placeholders().forEach((name, output) -> given.put(output.op().name(), name));
      return new Swap.Part(
          graph.toGraphDef(),
          given,
          projection == null ? null : projection.asOutput().op().name(),
          TensorNames.of(out.op().name(), out.index()),
          out.dataType(),
          place.found.layer(),
          matrix);
    } finally {
      LossGradients.detach(graph);
      graph.close();
    }
  }

  @Override
  public void close() {
    samples.close();
  }
}
