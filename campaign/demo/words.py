"""The words that made-up people are made of. Nobody is meant; every domain is reserved for examples (RFC 2606)."""

# ruff: noqa: SIM905 (a line of words reads better than a column of quoted ones)

FRENCH_FIRST = (
    "Adèle Adrien Agathe Alain Alice Amandine Amélie Anaïs André Anne-Sophie Antoine Arnaud Aurélie Baptiste Béatrice "
    "Benoît Bernard Camille Capucine Cécile Céline Chantal Chloé Christophe Claire Clémence Clément Corinne Cyril "
    "Damien Daniel Delphine Denis Didier Édouard Éléonore Élise Éloïse Émile Emma Éric Estelle Étienne Fanny Farid "
    "Fatima Félix Florence François Françoise Gaël Gaëlle Geneviève Gérard Gilles Guillaume Gwenaëlle Hélène Henri "
    "Hugo Inès Irène Isabelle Jacques Jean-Baptiste Jean-Luc Jeanne Jérôme Joël Joséphine Juliette Karim Laëtitia "
    "Laurent Léa Léo Léonie Lise Loïc Louis Louise Lucie Ludovic Maëlle Marc Marguerite Marie-Hélène Marion Mathieu "
    "Maud Maurice Mélanie Michèle Mickaël Mireille Nadia Nathalie Nicolas Noé Noëlle Océane Odile Olivier Pascal "
    "Patrice Paul Perrine Pierre Quentin Raphaël Régine Rémi Renée Romain Rose Sabine Salomé Samir Sébastien Séverine "
    "Simone Solène Sophie Stéphane Sylvie Théo Thérèse Thibault Timothée Valérie Véronique Victor Violette Vincent "
    "Xavier Yann Yasmine Yves Zélie Zoé"
).split()
FRENCH_LAST = (
    "Aubert Bailly Barbier Baron Bégué Benali Bénard Bernard Bertin Besson Blanchard Bonnet Boucher Bouvier Breton "
    "Brunet Carpentier Caron Chevalier Clément Collet Cordier Cousin D'Alençon Dabrowski Daniel Da-Silva Delaunay "
    "Delmas Deschamps Diallo Dubois Duchêne Dufour Dumas Dupuy Durand Étienne Fabre Faure Fernandez Ferrand Fleury "
    "Fontaine Fournier Gaillard Garnier Gauthier Géraud Giraud Gonçalves Guérin Guillot Hamel Haddad Hébert Henry "
    "Hervé Huet Imbert Jacquet Joly Julien Klein Lacroix Lambert Langlois Laurent Lebrun Leclerc Lefèvre Le-Gall "
    "Lemaître Léger Lévêque L'Hermite Lopez Maillard Mallet Marchand Maréchal Martineau Masson Mathis Ménard Mercier "
    "Meunier Meyer Michaud Moreau Morvan Moulin Muñoz Nguyen Noël Olivier Paillé Paris Pasquier Payet Pélissier "
    "Perrin Petitjean Philippe Picard Poirier Pons Prévost Quéré Raynaud Régnier Renault Rivière Robin Roche Rolland "
    "Rousseau Roussel Royer Sabatier Sauvage Schmitt Séguin Simonet Tanguy Tessier Thibault Traoré Vasseur Verdier "
    "Vidal Vigneron Villeneuve Voisin Weber Yılmaz Zanetti"
).split()
ENGLISH_FIRST = (
    "Abigail Alfie Amelia Arthur Aoife Benjamin Callum Charlotte Chloe Daisy Deborah Dylan Edith Eleanor Elliot Ewan "
    "Fiona Florence Freya George Grace Graham Harriet Harry Heather Imogen Isla Jack Jasper Keith Lily Lorna Maisie "
    "Malcolm Megan Morag Nigel Oliver Oscar Owen Percy Phoebe Poppy Rhys Rosie Rowan Ruby Siân Sinéad Stuart Tamsin "
    "Una Wendy Zachary"
).split()
ENGLISH_LAST = (
    "Ainsworth Appleby Ashdown Barlow Bhatt Blackwood Brennan Campbell Carver Chaudhry Cleary Collins Cooper Davies "
    "Eastwood Ellison Fairweather Fletcher Gallagher Gardiner Greenwood Hartley Hughes Iqbal Jenkins Kavanagh Lloyd "
    "MacLeod Marsh Meadows Morgan Nwosu O'Brien O'Connor Okafor Palmer Patel Pritchard Quinn Rhodes Sandhu Shepherd "
    "Sinclair Thornton Underwood Walsh Whitaker Wood Yates"
).split()

STREETS = (
    "rue des Lilas, avenue des Tilleuls, impasse du Verger, rue de la Fontaine, chemin des Vignes, place du Marché, "
    "allée des Érables, rue du Moulin, quai des Saules, rue de l’Église, boulevard des Acacias, sentier des Noisetiers"
).split(", ")
ENGLISH_STREETS = "Orchard Lane, Church Street, Mill Road, Willow Close, Rose Terrace, The Green, Station Road".split(
    ", "
)
# Country → (postcode, town).
TOWNS: dict[str, tuple[tuple[str, str], ...]] = {
    "FR": (
        ("69001", "Lyon"), ("69003", "Lyon"), ("69007", "Lyon"), ("69100", "Villeurbanne"), ("38000", "Grenoble"),
        ("42000", "Saint-Étienne"), ("01000", "Bourg-en-Bresse"), ("71000", "Mâcon"), ("26000", "Valence"),
        ("74000", "Annecy"), ("75011", "Paris"), ("44000", "Nantes"), ("59000", "Lille"), ("31000", "Toulouse"),
        ("29200", "Brest"), ("63000", "Clermont-Ferrand"), ("13006", "Marseille"), ("67000", "Strasbourg"),
    ),
    "BE": (("1000", "Bruxelles"), ("4000", "Liège"), ("5000", "Namur"), ("7000", "Mons")),
    "CH": (("1200", "Genève"), ("1003", "Lausanne"), ("2000", "Neuchâtel"), ("1700", "Fribourg")),
    "GB": (("BS1 4ND", "Bristol"), ("YO1 7HH", "York"), ("CF10 1EP", "Cardiff"), ("EH1 1YZ", "Edinburgh")),
}  # fmt: skip
TIME_ZONES = {"FR": "Europe/Paris", "BE": "Europe/Brussels", "CH": "Europe/Zurich", "GB": "Europe/London"}

DOMAINS = (
    "example.org", "example.com", "example.net", "courriel.example", "boite.example", "post.example", "jardin.example",
)  # fmt: skip
# Domains with letters that the wire does not carry: they travel in their A-label form.
IDN_DOMAINS = ("forêt.example", "café-du-parc.example", "bücher.example", "mésange.example")

GARDENS = ("balcony", "courtyard", "kitchen garden", "orchard", "park", "")
