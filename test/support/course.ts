/** Notebooks that do what those of fast.ai's course do, with what `course-data.py` makes in place of its data sets. */

/** The first chapter of the book, step by step. */
const FIRST_CHAPTER = [
  `! [ -e /content ] && pip install -Uqq fastbook
import fastbook
fastbook.setup_book()`,
  `from fastbook import *`,

  // Cats and dogs.
  `from fastai.vision.all import *
path = untar_data(URLs.PETS)/"images"

def is_cat(name): return name[0].isupper()

dls = ImageDataLoaders.from_name_func(
    path, get_image_files(path), valid_pct=0.2, seed=42, label_func=is_cat, item_tfms=Resize(224))
learn = vision_learner(dls, resnet34, metrics=error_rate)
learn.fine_tune(1)`,
  `PILImage.create(image_cat()).to_thumb(192)`,
  `uploader = widgets.FileUpload()
uploader`,
  `uploader = SimpleNamespace(data=[path/"Siamese_1.jpg"])
cat, _, probabilities = learn.predict(PILImage.create(uploader.data[0]))
print(cat, probabilities[1].item())`,

  // Graphs.
  `gv('''program[shape=box3d width=1 height=0.7]
inputs->program->results''')`,
  `gv('''ordering=in
model[shape=box3d width=1 height=0.7 label=architecture]
inputs->model->predictions; parameters->model; labels->loss; predictions->loss
loss->parameters[constraint=false label=update]''')`,

  // What each pixel belongs to.
  `path = untar_data(URLs.CAMVID_TINY)
dls = SegmentationDataLoaders.from_label_func(
    path, bs=8, fnames=get_image_files(path/"images"),
    label_func=lambda image: path/"labels"/f"{image.stem}_P{image.suffix}",
    codes=np.loadtxt(path/"codes.txt", dtype=str))
learn = unet_learner(dls, resnet34)
learn.fine_tune(8)`,
  `learn.show_results(max_n=6, figsize=(7, 8))`,

  // Text.
  `from fastai.text.all import *
dls = TextDataLoaders.from_folder(untar_data(URLs.IMDB), valid="test", bs=32)
learn = text_classifier_learner(dls, AWD_LSTM, drop_mult=0.5, metrics=accuracy)
learn.fine_tune(4, 1e-2)`,
  `learn.predict("I really liked that movie!")`,

  // Tables.
  `from fastai.tabular.all import *
path = untar_data(URLs.ADULT_SAMPLE)
dls = TabularDataLoaders.from_csv(
    path/"adult.csv", path=path, y_names="salary",
    cat_names=["workclass", "education", "marital-status", "occupation", "relationship", "race"],
    cont_names=["age", "fnlwgt", "education-num"],
    procs=[Categorify, FillMissing, Normalize])
learn = tabular_learner(dls, metrics=accuracy)
learn.fit_one_cycle(3)`,

  // Who likes what.
  `from fastai.collab import *
dls = CollabDataLoaders.from_csv(untar_data(URLs.ML_SAMPLE)/"ratings.csv")
learn = collab_learner(dls, y_range=(0.5, 5.5))
learn.fine_tune(10)`,
  `learn.show_results()`,
];

/** Modules that the notebooks of the book and of the course import. */
const IMPORTED = [
  "datasets",
  "duckduckgo_search",
  "fastai.vision.all",
  "fastbook",
  "fastcore.all",
  "fastdownload",
  "fastkaggle",
  "gradio",
  "graphviz",
  "ipywidgets",
  "matplotlib.pyplot",
  "nbdev",
  "numpy",
  "pandas",
  "plotly.express",
  "seaborn",
  "sentencepiece",
  "sklearn.ensemble",
  "statsmodels.api",
  "sympy",
  "timm",
  "torch",
  "torchvision",
  "transformers",
];

/** Everything that they install or import, installed as they do it, and OpenCV, which takes libraries of the system. */
const INSTALLS = [
  "!pip install -Uqq fastai",
  "!pip install -Uqq fastbook",
  "%pip install -Uqq fastkaggle duckduckgo_search",
  "%pip install -q kaggle datasets gradio graphviz ipywidgets matplotlib nbdev numpy pandas plotly seaborn sentencepiece",
  "!pip install -q scikit-learn statsmodels sympy timm torch torchvision transformers opencv-python",
];

const imports = (modules: string[]): string[] => [
  `import importlib, torch
for module in ${JSON.stringify(modules)}:
    importlib.import_module(module)
print("torch", torch.__version__)`,
  // It asks for credentials while it is imported.
  `import os
os.environ |= {"KAGGLE_USERNAME": "somebody", "KAGGLE_KEY": "0" * 32}
import kaggle`,
  // Its Trainer takes accelerate.
  `from transformers import Trainer, TrainingArguments
TrainingArguments("/tmp/training", report_to="none").device`,
];

const notebook = (cells: string[]): string =>
  JSON.stringify({
    cells: cells.map((source, index) => ({
      cell_type: "code",
      execution_count: null,
      id: `cell-${index}`,
      metadata: {},
      outputs: [],
      source,
    })),
    metadata: { kernelspec: { display_name: "Python 3", language: "python", name: "python3" } },
    nbformat: 4,
    nbformat_minor: 5,
  });

/** The notebooks by name, as files. */
export const courseNotebooks = {
  imports: notebook(imports(IMPORTED)),
  "first-chapter": notebook(FIRST_CHAPTER),
  installs: notebook([...INSTALLS, ...imports([...IMPORTED, "cv2"])]),
};
